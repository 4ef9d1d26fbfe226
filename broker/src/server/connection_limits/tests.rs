//! Who may come in.
use tidemark_core::metadata::{BrokerConfigs, ClusterImage};

use super::*;

fn settings(all: i32, per_address: i32) -> BrokerSettings {
    let image = ClusterImage::new("c");
    BrokerSettings {
        max_connections: all,
        max_connections_per_ip: per_address,
        ..BrokerConfigs::default().settings(&image, 1)
    }
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

#[test]
fn one_address_cannot_take_more_than_its_share() {
    let limits = ConnectionLimits::default();
    let settings = settings(10, 1);
    let first = limits.admit(HERE, &settings).ok();
    assert!(first.is_some());
    assert_eq!(limits.admit(HERE, &settings).err(), Some(Refused::PerAddress));
    assert!(limits.admit(THERE, &settings).is_ok());
}

#[test]
fn a_connection_that_ends_makes_room() {
    let limits = ConnectionLimits::default();
    let settings = settings(1, 10);
    let first = limits.admit(HERE, &settings);
    assert_eq!(limits.admit(THERE, &settings).err(), Some(Refused::All));
    drop(first);
    assert!(limits.admit(THERE, &settings).is_ok());
}
