//! Identity and lock of the data directory: whose files these are, and that only one process uses them.
//!
//! Written once, when an empty directory is formatted; read at every start. A directory of another cluster, of another node
//! or in use by another process is refused before anything in it is touched.
//!
//! `meta.toml`, UTF-8 text, replaced as a whole (write aside, sync, rename, sync the directory):
//! ```toml
//! # comment lines
//! version = 1
//! cluster_id = "4L6g3nShT-eMCtK--X86sw"      # 22 characters of url-safe base64
//! node_id = 1
//! directory_id = "Vdq0dQhCRzGdUPqZ3cxX2A"    # names this directory as long as it lives
//! raft_id = 1                                 # this node's id among the voters
//! checksum = "9ae0daaf"                       # crc32 of every byte above this line, in hexadecimal
//! ```

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tidemark_protocol::types::{BrokerId, TopicId, base64_uuid};
use tidemark_storage::disk::{DirLock, Disk, OpenMode, read_file};
use uuid::Uuid;

/// Name of the file that holds the identity.
pub const META_FILE: &str = "meta.toml";
/// Version of the file's layout; others are refused.
const META_VERSION: u32 = 1;
/// Held by the process that uses the directory; its text is that process's id.
const LOCK_FILE: &str = ".lock";
/// What a file system puts into an empty volume by itself, and what `tidemark dev` leaves there before the first start.
const NOT_DATA: [&str; 3] = ["lost+found", "tidemark.toml", "pid"];
/// Id of the voter that forms the quorum; later ones come from positions in the committed log.
pub const FIRST_RAFT_ID: u64 = 1;
/// The identity is a handful of lines; anything longer is not one.
const META_BYTES_MAX: u64 = 16 * 1024;

/// Whose files these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, as 22 characters of base64.
    pub cluster_id: String,
    /// The node in that cluster.
    pub node_id: BrokerId,
    /// The directory itself.
    pub directory_id: Uuid,
    /// The node's id among the voters of the quorum.
    pub raft_id: u64,
}

/// What an empty directory is given when it is formatted; drawn by the caller, since chance is an argument.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The cluster's id, unless the caller already names one.
    pub cluster_id: Uuid,
    /// The directory's id.
    pub directory_id: Uuid,
    /// The node's id among the voters, given by the cluster it joins; without one it is the first.
    pub raft_id: Option<u64>,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error("{path} is in use by another tidemark process{}; stop it first, or give this one another node.data_dir", match pid { Some(pid) => format!(" (pid {pid})"), None => String::new() }, path = path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, if it could be told.
        pid: Option<u32>,
    },
    /// It is another node's.
    #[error("{path} belongs to node {found}, this is node {asked}; set node.id = {found}, or give node {asked} its own node.data_dir", path = path.display())]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Its node.
        found: BrokerId,
        /// This node.
        asked: BrokerId,
    },
    /// It is another cluster's.
    #[error("{path} belongs to cluster {found}, this node is configured for cluster {asked}", path = path.display())]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// Its cluster.
        found: String,
        /// The cluster configured.
        asked: String,
    },
    /// The cluster id asked for is not one.
    #[error("{text:?} is not a cluster id: 22 characters of url-safe base64 are expected")]
    BadClusterId {
        /// As configured.
        text: String,
    },
    /// It holds something, but no identity.
    #[error("{path} is not empty and is no tidemark data directory (found {example:?}, but no {META_FILE})", path = path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One of its entries.
        example: String,
    },
    /// The identity is damaged or of another version.
    #[error("{path} cannot be read: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The disk failed.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A data directory of this node, held until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    formatted: bool,
    _lock: DirLock,
}

/// A data directory that this process holds, whoever's it is.
#[derive(Debug)]
pub struct HeldDir {
    path: PathBuf,
    lock: DirLock,
    identity: Option<Identity>,
}

impl HeldDir {
    /// Whose it is; `None` while it is not formatted.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Formats the directory if it is new, and checks that it is `node_id`'s and, when `cluster_id` is given, that cluster's.
    ///
    /// # Errors
    /// When it is another's, or cannot be written.
    pub fn open(
        self,
        disk: &Arc<dyn Disk>,
        node_id: BrokerId,
        cluster_id: Option<&str>,
        fresh: &Fresh,
    ) -> Result<DataDir, DataDirError> {
        if let Some(text) = cluster_id.filter(|text| TopicId::parse(text).is_none()) {
            return Err(DataDirError::BadClusterId { text: text.to_owned() });
        }
        let HeldDir { path, lock, identity } = self;
        let formatted = identity.is_none();
        let identity = match identity {
            Some(identity) => identity,
            None => {
                let identity = Identity {
                    cluster_id: cluster_id.map_or_else(|| base64_uuid(fresh.cluster_id), str::to_owned),
                    node_id,
                    directory_id: fresh.directory_id,
                    raft_id: fresh.raft_id.unwrap_or(FIRST_RAFT_ID),
                };
                format(&**disk, &path, &identity)?;
                identity
            }
        };
        // At every start: whoever was killed after a rename or after making the directory may not have come to this.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        for dir in std::iter::once(path.as_path()).chain(parent) {
            disk.sync_dir(dir).map_err(|source| io_error("sync", dir, source))?;
        }
        if identity.node_id != node_id {
            return Err(DataDirError::OtherNode { path, found: identity.node_id, asked: node_id });
        }
        match cluster_id {
            Some(asked) if asked != identity.cluster_id => {
                Err(DataDirError::OtherCluster { path, found: identity.cluster_id, asked: asked.to_owned() })
            }
            _ => Ok(DataDir { path, identity, formatted, _lock: lock }),
        }
    }
}

impl DataDir {
    /// Locks the directory at `path`, made if it is not there, and reads whose it is.
    ///
    /// # Errors
    /// When another process holds it, or what it says is damaged.
    pub fn hold(disk: &Arc<dyn Disk>, path: &Path) -> Result<HeldDir, DataDirError> {
        if !disk.exists(path) {
            disk.create_dir_all(path).map_err(|source| io_error("make", path, source))?;
        }
        let lock = take_lock(disk, path)?;
        let meta = path.join(META_FILE);
        let identity = disk.exists(&meta).then(|| read_identity(&**disk, &meta)).transpose()?;
        Ok(HeldDir { path: path.to_owned(), lock, identity })
    }

    /// [`DataDir::hold`] and [`HeldDir::open`] in one, for whoever knows at once what a new directory becomes.
    ///
    /// # Errors
    /// Theirs.
    pub fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        node_id: BrokerId,
        cluster_id: Option<&str>,
        fresh: &Fresh,
    ) -> Result<DataDir, DataDirError> {
        DataDir::hold(disk, path)?.open(disk, node_id, cluster_id, fresh)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether this call of [`DataDir::open`] formatted it.
    pub fn is_new(&self) -> bool {
        self.formatted
    }
}

/// The identity as it is written, without its checksum.
#[derive(Deserialize)]
struct Meta {
    version: u32,
    cluster_id: String,
    node_id: BrokerId,
    directory_id: String,
    raft_id: u64,
}

fn take_lock(disk: &Arc<dyn Disk>, path: &Path) -> Result<DirLock, DataDirError> {
    let lock_path = path.join(LOCK_FILE);
    match disk.lock(&lock_path) {
        Ok(lock) => {
            // Who holds it is only said for the next one's message, so a failure to say it is no reason not to start.
            if let Err(error) = write_pid(&**disk, &lock_path) {
                tracing::debug!(%error, path = %lock_path.display(), "the process id was not noted");
            }
            Ok(lock)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text =
                read_file(&**disk, &lock_path, 32).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let pid = text.and_then(|text| text.trim().parse().ok());
            Err(DataDirError::InUse { path: path.to_owned(), pid })
        }
        Err(source) => Err(io_error("lock", &lock_path, source)),
    }
}

fn write_pid(disk: &dyn Disk, lock_path: &Path) -> io::Result<()> {
    let text = format!("{}\n", std::process::id());
    let file = disk.open(lock_path, OpenMode::ReadWrite)?;
    file.set_len(0)?;
    file.write_all_at(&[IoSlice::new(text.as_bytes())], 0)
}

fn format(disk: &dyn Disk, path: &Path, identity: &Identity) -> Result<(), DataDirError> {
    let names = disk.read_dir(path).map_err(|source| io_error("list", path, source))?;
    let aside_name = format!("{META_FILE}.tmp");
    let strange = names.into_iter().find(|name| {
        ![LOCK_FILE, aside_name.as_str()].contains(&name.as_str()) && !NOT_DATA.contains(&name.as_str())
    });
    if let Some(example) = strange {
        return Err(DataDirError::NotEmpty { path: path.to_owned(), example });
    }
    let (meta, aside) = (path.join(META_FILE), path.join(&aside_name));
    let write = || {
        let file = disk.open(&aside, OpenMode::Create)?;
        file.set_len(0)?;
        file.write_all_at(&[IoSlice::new(to_text(identity).as_bytes())], 0)?;
        file.sync_data()?;
        disk.rename(&aside, &meta)
    };
    write().map_err(|source| io_error("write", &meta, source))
}

fn to_text(identity: &Identity) -> String {
    let mut text = format!(
        "# Whose data this directory holds. Tidemark writes this file once; do not edit or copy it.\n\
         version = {META_VERSION}\ncluster_id = \"{}\"\nnode_id = {}\ndirectory_id = \"{}\"\nraft_id = {}\n",
        identity.cluster_id,
        identity.node_id,
        base64_uuid(identity.directory_id),
        identity.raft_id
    );
    let checksum = crc32fast::hash(text.as_bytes());
    text.push_str(&format!("checksum = \"{checksum:08x}\"\n"));
    text
}

fn read_identity(disk: &dyn Disk, meta: &Path) -> Result<Identity, DataDirError> {
    let damaged = |why: String| DataDirError::Damaged { path: meta.to_owned(), why };
    let bytes = read_file(disk, meta, META_BYTES_MAX).map_err(|source| io_error("read", meta, source))?;
    let text = String::from_utf8(bytes).map_err(|_| damaged("it is not text".to_owned()))?;
    parse(&text).map_err(damaged)
}

fn parse(text: &str) -> Result<Identity, String> {
    let at = text.find("checksum").ok_or("it has no checksum, so it was cut off or edited")?;
    let meta: Meta = toml::from_str(&text[..at]).map_err(|error| error.message().to_owned())?;
    if meta.version != META_VERSION {
        return Err(format!(
            "its layout version is {}, this version of tidemark knows {META_VERSION}",
            meta.version
        ));
    }
    let stored = text[at..].split('"').nth(1).unwrap_or_default();
    let computed = format!("{:08x}", crc32fast::hash(&text.as_bytes()[..at]));
    if stored != computed {
        return Err(format!(
            "its checksum is {stored:?} and should be {computed:?}, so it was damaged or edited"
        ));
    }
    let directory_id = TopicId::parse(&meta.directory_id).ok_or("its directory_id is no id")?.0;
    Ok(Identity { cluster_id: meta.cluster_id, node_id: meta.node_id, directory_id, raft_id: meta.raft_id })
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
