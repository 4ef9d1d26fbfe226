//! Which topic names are legal, and which collide with each other.

/// The longest legal name: it becomes a directory name together with the partition index.
pub const TOPIC_NAME_LEN_MAX: usize = 249;

/// Topics that belong to the brokers: clients may read but not write them.
pub const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Where Kafka keeps its metadata; tools take it for that, so no topic may be called so.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Whether a topic belongs to the brokers.
pub fn is_internal(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// Says why a name is illegal, in Kafka's words.
pub fn check(name: &str) -> Result<(), String> {
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." => "'.' is not allowed".to_owned(),
        ".." => "'..' is not allowed".to_owned(),
        _ if name.len() > TOPIC_NAME_LEN_MAX => {
            format!("the length of '{name}' is longer than the max allowed length {TOPIC_NAME_LEN_MAX}")
        }
        _ if !name.bytes().all(is_legal) => {
            format!(
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            )
        }
        _ => return Ok(()),
    };
    Err(format!("Topic name is invalid: {reason}"))
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Whether another name could have the same normal form.
pub fn can_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// The name with every `.` as `_`, as metric names have it.
pub fn normal_form(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests;
