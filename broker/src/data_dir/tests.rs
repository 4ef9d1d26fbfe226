//! A data directory belongs to one node of one cluster and to one process.

use tidemark_storage::disk::sim::SimDisk;
use tidemark_storage::disk::{File, OsDisk};

use super::*;

const CLUSTER: &str = "4L6g3nShT-eMCtK--X86sw";

fn fresh(number: u128) -> Fresh {
    Fresh { cluster_id: Uuid::from_u128(number), directory_id: Uuid::from_u128(number + 1), raft_id: None }
}

fn simulated() -> (SimDisk, Arc<dyn Disk>) {
    let disk = SimDisk::new(1);
    (disk.clone(), Arc::new(disk))
}

fn open(disk: &Arc<dyn Disk>, node: BrokerId, cluster: Option<&str>) -> Result<DataDir, DataDirError> {
    DataDir::open(disk, Path::new("/data"), node, cluster, &fresh(1))
}

#[test]
fn a_formatted_directory_keeps_its_identity_through_a_power_failure() {
    let (sim, disk) = simulated();
    let first = open(&disk, 4, None).unwrap();
    assert!(first.is_new());
    assert_eq!(first.identity().cluster_id, base64_uuid(Uuid::from_u128(1)));
    let identity = first.identity().clone();
    drop(first);
    let disk: Arc<dyn Disk> = Arc::new(sim.crash());
    let again = DataDir::open(&disk, Path::new("/data"), 4, None, &fresh(77)).unwrap();
    assert!(!again.is_new());
    assert_eq!(*again.identity(), identity);
}

#[test]
fn formatting_survives_a_power_failure_at_any_step() {
    for step in 1..30 {
        let (sim, disk) = simulated();
        sim.power_off_at(step);
        let before = open(&disk, 4, Some(CLUSTER));
        let disk: Arc<dyn Disk> = Arc::new(sim.crash());
        let after = open(&disk, 4, Some(CLUSTER)).unwrap_or_else(|error| panic!("step {step}: {error}"));
        if before.is_ok() {
            assert!(!after.is_new(), "step {step}");
        }
    }
}

#[test]
fn another_node_and_another_cluster_are_refused_by_name() {
    let (_, disk) = simulated();
    drop(open(&disk, 1, Some(CLUSTER)).unwrap());
    let text = open(&disk, 2, None).expect_err("node 1 owns it").to_string();
    assert!(text.contains("belongs to node 1, this is node 2"), "{text}");
    let other = "AAAAAAAAAAAAAAAAAAAAAQ";
    let text = open(&disk, 1, Some(other)).expect_err("another cluster").to_string();
    assert!(text.contains(CLUSTER) && text.contains(other), "{text}");
    assert!(matches!(open(&disk, 1, Some("no id")), Err(DataDirError::BadClusterId { .. })));
    assert!(open(&disk, 1, Some(CLUSTER)).is_ok());
}

#[test]
fn a_directory_with_other_files_is_not_formatted() {
    let (_, disk) = simulated();
    disk.create_dir_all(Path::new("/data/photos")).unwrap();
    let error = open(&disk, 1, None).expect_err("photos are there");
    assert!(matches!(&error, DataDirError::NotEmpty { example, .. } if example == "photos"), "{error}");
    assert!(!disk.exists(Path::new("/data/meta.toml")));
}

#[test]
fn any_changed_byte_of_the_identity_is_noticed() {
    let (sim, disk) = simulated();
    let identity = open(&disk, 1, Some(CLUSTER)).unwrap().identity().clone();
    let meta = Path::new("/data/meta.toml");
    for byte in 0..disk.file_len(meta).unwrap() {
        let bit = usize::try_from(byte).unwrap() * 8 + 1;
        sim.flip(meta, bit).unwrap();
        match open(&disk, 1, Some(CLUSTER)) {
            Err(DataDirError::Damaged { .. }) => {}
            // The newline at the very end and the quotes around the checksum say nothing.
            other => {
                assert_eq!(*other.expect("what is believed is right").identity(), identity, "byte {byte}")
            }
        }
        sim.flip(meta, bit).unwrap();
    }
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let held = DataDir::open(&disk, folder.path(), 1, None, &fresh(1)).unwrap();
    let text = DataDir::open(&disk, folder.path(), 1, None, &fresh(1)).expect_err("it is held").to_string();
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
    assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
    drop(held);
    assert!(DataDir::open(&disk, folder.path(), 1, None, &fresh(1)).is_ok());
}

#[test]
fn an_unknown_layout_version_is_refused() {
    let (_, disk) = simulated();
    drop(open(&disk, 1, None).unwrap());
    let mut text =
        String::from("version = 9\ncluster_id = \"x\"\nnode_id = 1\ndirectory_id = \"x\"\nraft_id = 1\n");
    text.push_str(&format!("checksum = \"{:08x}\"\n", crc32fast::hash(text.as_bytes())));
    let file: Arc<dyn File> = disk.open(Path::new("/data/meta.toml"), OpenMode::ReadWrite).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&[IoSlice::new(text.as_bytes())], 0).unwrap();
    let text = open(&disk, 1, None).expect_err("version 9").to_string();
    assert!(text.contains("layout version is 9"), "{text}");
}
