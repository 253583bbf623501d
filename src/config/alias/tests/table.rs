//! The table of names against what is read, and the names that it lacks.

use super::super::*;
use super::*;

#[test]
fn what_no_row_knows_is_named_in_one_line_unless_kubernetes_set_it() {
    let loaded = loaded(&[
        ("RABBITMQ_USE_LONGNAME", "true"),
        ("LOCALSTACK_LAMBDA_EXECUTOR", "docker"),
        ("RABBITMQ_DEFAULT_VHOST_FILE", "/no/such/file"),
        ("RABBITMQ_EMPTY", ""),
        ("LOCALSTACK_AWS_DEFAULT_REGION", "eu-west-1"),
        ("RABBITMQ_SERVICE_HOST", "10.0.0.1"),
        ("RABBITMQ_SERVICE_PORT", "5672"),
        ("RABBITMQ_SERVICE_PORT_AMQP", "5672"),
        ("RABBITMQ_PORT", "tcp://10.0.0.1:5672"),
        ("RABBITMQ_PORT_5672_TCP", "tcp://10.0.0.1:5672"),
        ("RABBITMQ_PORT_5672_TCP_ADDR", "10.0.0.1"),
        ("RABBITMQMINE", "1"),
    ]);
    let told: Vec<_> = loaded.unused.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "environment variables LOCALSTACK_LAMBDA_EXECUTOR, RABBITMQ_DEFAULT_VHOST_FILE, RABBITMQ_USE_LONGNAME are not used: this version knows no such name"
        ]
    );
}

/// Names that ask for what is so anyway: silence is right.
const HOLD_ALREADY: [&str; 2] = ["AWS_DEFAULT_REGION", "DEFAULT_REGION"];

/// Values that must do something, where `1` does not.
const TELLING: [(&str, &str); 3] = [
    ("SERVICES", "s3"),
    ("PERSISTENCE", "0"),
    ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"),
];

#[test]
fn every_name_of_the_table_is_read() {
    for alias in aliases() {
        for &name in alias.names {
            let telling = TELLING.iter().find(|(known, _)| *known == name);
            let value = telling.map_or("1", |(_, value)| value);
            let mut variables = vec![name.to_owned()];
            if alias.image == localstack::LOCALSTACK && !name.starts_with(localstack::PREFIX) {
                variables.push(format!("{}{name}", localstack::PREFIX));
            }
            for variable in variables {
                let is_told = match sources(&[(&variable, value)]).load() {
                    Err(error) => error.to_string().contains(&variable),
                    Ok(loaded) => {
                        loaded.used.iter().any(|used| used.name == variable)
                            || loaded.unused.iter().any(|unused| {
                                unused.names == [variable.as_str()]
                                    && unused.why != "this version knows no such name"
                            })
                    }
                };
                let holds_already = HOLD_ALREADY.contains(&name);
                assert_eq!(is_told, !holds_already, "{variable}={value}");
            }
        }
    }
}

#[test]
fn no_variable_stands_in_the_table_twice() {
    let names: Vec<_> = aliases().flat_map(|alias| alias.names).collect();
    let once: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), once.len());
}
