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

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tidemark_protocol::types::{BrokerId, TopicId, base64_uuid};
use tidemark_storage::disk::{DirLock, Disk, OpenMode};
use uuid::Uuid;

/// Name of the file that holds the identity.
pub const META_FILE: &str = "meta.toml";
/// Version of the file's layout; others are refused.
const META_VERSION: u32 = 1;
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

impl DataDir {
    /// Locks the directory at `path`, formats it if it is empty, and checks that it is `node_id`'s and, when `cluster_id` is
    /// given, that cluster's.
    pub fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        node_id: BrokerId,
        cluster_id: Option<&str>,
        fresh: &Fresh,
    ) -> Result<DataDir, DataDirError> {
        let _ = (disk, path, node_id, cluster_id, fresh);
        unimplemented!("lands next")
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
