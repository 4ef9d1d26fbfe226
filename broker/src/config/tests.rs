//! What a node's configuration accepts, and how it says no.
use super::*;

fn config(file: &str, set: &[&str]) -> Result<NodeConfig, Problems> {
    let mut layers = Layers::default();
    layers.add_file("tidemark.toml", file);
    set.iter().for_each(|assignment| layers.add_set(assignment));
    NodeConfig::from_layers(&layers)
}

fn messages(problems: Problems) -> Vec<String> {
    problems.0.iter().map(|problem| format!("{}: {}", problem.origin, problem.message)).collect()
}

#[test]
fn an_empty_file_is_a_working_configuration() {
    let config = config("", &[]).unwrap();
    assert_eq!(config.node_id, 1);
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].bind, "127.0.0.1:9092".parse().unwrap());
    assert_eq!(config.admin, Some("127.0.0.1:9640".parse().unwrap()));
}

#[test]
fn set_beats_environment_beats_file() {
    let mut layers = Layers::default();
    layers.add_file("f", "[node]\nid = 1\nrack = \"a\"\ndata_dir = \"/d\"");
    let variables = [("TIDEMARK_NODE__ID", "2"), ("TIDEMARK_NODE__RACK", "b"), ("PATH", "/bin")];
    layers.add_environment(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    layers.add_set("node.id=3");
    let config = NodeConfig::from_layers(&layers).unwrap();
    assert_eq!((config.node_id, config.rack.as_deref()), (3, Some("b")));
    assert_eq!(config.data_dir, PathBuf::from("/d"));
}

#[test]
fn listeners_come_as_tables_or_as_dotted_keys() {
    let file = "[[listener]]\nname = \"A\"\nbind = \"127.0.0.1:1\"\nadvertise = \"host:5\"\n";
    let config = config(file, &["listener.B.bind=127.0.0.1:2"]).unwrap();
    assert_eq!(config.listeners[0].advertise, Some(("host".to_owned(), 5)));
    assert_eq!(config.listeners[1].name, "B");
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_line() {
    let file = "[node]\nid = \"x\"\nrak = \"r\"\n[log]\nformat = \"xml\"\n[memory]\ntail = \"lots\"\n";
    let messages = messages(config(file, &["nonsense"]).unwrap_err());
    assert_eq!(messages.len(), 5, "{messages:#?}");
    assert_eq!(messages[0], "tidemark.toml:2: node.id = \"x\" is not a number from 0 to 2147483647");
    assert_eq!(messages[1], "tidemark.toml:3: unknown key node.rak, did you mean node.rack?");
    assert!(messages[2].starts_with("tidemark.toml:5: log.format"));
    assert!(messages[4].starts_with("--set: \"nonsense\" is not KEY=VALUE"));
}

#[test]
fn a_node_has_listeners_exactly_if_it_is_a_broker() {
    let both = config("", &[]).expect("the defaults");
    assert_eq!((both.roles, both.listeners.len()), (Roles { broker: true, controller: true }, 1));
    let controller = config("", &["node.roles=controller"]).expect("a controller");
    assert_eq!((controller.roles.broker, controller.listeners.len()), (false, 0));
    let listens = config("", &["node.roles=controller", "listener.A.bind=127.0.0.1:1"]);
    assert!(messages(listens.unwrap_err())[0].contains("listener.A.bind: a node that is no broker"));
}

#[test]
fn who_may_not_found_a_cluster_has_to_be_told_of_one() {
    assert!(messages(config("", &["node.roles=broker"]).unwrap_err())[0].contains("needs cluster.seeds"));
    assert!(config("", &["node.roles=broker", "cluster.seeds=a:1"]).is_ok());
    assert!(
        messages(config("", &["node.roles=king", "cluster.seeds=a:1"]).unwrap_err())[0]
            .contains("node.roles = \"king\"")
    );
}

#[test]
fn a_broken_file_says_where() {
    let messages = messages(config("[node]\nid = = 1", &[]).unwrap_err());
    assert!(messages[0].starts_with("tidemark.toml:2: "), "{messages:?}");
}

#[test]
fn variables_of_other_tools_are_left_alone_and_ours_must_be_known() {
    let mut layers = Layers::default();
    let variables = [("TIDEMARK_SERVER", "x:1"), ("TIDEMARK_NOD__ID", "1")];
    layers.add_environment(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    let messages = messages(NodeConfig::from_layers(&layers).unwrap_err());
    assert_eq!(
        messages,
        ["environment variable TIDEMARK_NOD__ID: unknown key nod.id, did you mean node.id?"]
    );
}
