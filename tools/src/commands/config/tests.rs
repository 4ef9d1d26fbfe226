//! Holds config/tidemark.toml equal to the tables of keys. `UPDATE_CONFIG=1 cargo test -p tidemark-tools` writes its part
//! on Kafka's keys anew.

use std::fmt::Write as _;
use std::path::Path;

use super::*;

const FILE: &str = include_str!("../../../../config/tidemark.toml");
const KAFKA: &str = "[kafka]\n";

fn layers() -> Layers {
    let mut layers = Layers::default();
    layers.add_file("config/tidemark.toml", FILE);
    layers
}

/// Kafka's keys that can be set, as comments: those without a default could not stand there otherwise.
fn kafka_part() -> String {
    let mut text = String::new();
    for key in BROKER_CONFIGS.iter().filter(|key| !matches!(key.set, Settable::Reported(_))) {
        let doc = key.def.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        let kind = format!("{:?}", key.def.kind).to_lowercase();
        let unit = match key.unit {
            tidemark_core::metadata::broker_config::table::Unit::Plain => kind,
            unit => format!("{unit:?}").to_lowercase(),
        };
        let default =
            key.def.default.map_or_else(|| "(not set)".to_owned(), |default| format!("{default:?}"));
        let when = if key.set.is_dynamic() { ", can be changed while running" } else { "" };
        writeln!(text, "\n# {doc} [{unit}{when}]\n# {:?} = {default}", key.def.name)
            .expect("strings take all text");
    }
    text
}

#[test]
fn the_file_is_valid_and_changes_nothing() {
    let written = NodeConfig::from_layers(&layers()).expect("valid");
    let built_in = NodeConfig::from_layers(&Layers::default()).expect("valid");
    assert_eq!(format!("{written:?}"), format!("{built_in:?}"));
}

#[test]
fn every_key_stands_in_the_file_with_its_default() {
    let layers = layers();
    let value =
        |key: &str| layers.values().find(|(name, _, _)| *name == key).map(|(_, value, _)| value.to_owned());
    for key in KEYS {
        assert_eq!(value(key.name).as_deref(), Some(key.default), "{}", key.name);
    }
    for key in LISTENER_KEYS {
        assert_eq!(value(&format!("listener.{DEFAULT_LISTENER}.{}", key.name)).as_deref(), Some(key.default));
    }
    assert_eq!(layers.values().count(), KEYS.len() + LISTENER_KEYS.len(), "the file has a key nobody knows");
}

#[test]
fn every_key_of_kafka_stands_in_the_file_with_its_default() {
    let (own, kafka) = FILE.split_once(KAFKA).expect("a [kafka] table");
    if std::env::var_os("UPDATE_CONFIG").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/tidemark.toml");
        files::write_text(&path, &format!("{own}{KAFKA}{}", kafka_part())).expect("written");
        return;
    }
    assert_eq!(kafka, kafka_part(), "UPDATE_CONFIG=1 cargo test -p tidemark-tools writes it anew");
}
