//! What can be written on the command line.

use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;

use crate::config::Sources;

use super::bench::BenchCommand;

/// A message broker with many doors and one core.
#[derive(Debug, Parser)]
#[command(name = "viaduct", version, about, long_about = None)]
pub(super) struct Args {
    /// Configuration file, instead of VIADUCT_CONFIG, ./viaduct.toml and /etc/viaduct/viaduct.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the broker's data
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Sets a configuration key, as in listeners.amqp=127.0.0.1:5672; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

impl Args {
    /// The configuration's sources with these flags on top.
    pub(super) fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            data_dir: self.data_dir.clone(),
            set: self.set.clone(),
            ..Sources::of_process()
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the broker; what happens without a command, too
    Serve,
    /// Asks a running broker how it is; exit code 0 if it answers
    Health,
    /// Makes a running broker read its configuration again
    Reload,
    /// Checks and shows the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Manages users, on a running broker or a stopped one
    #[command(subcommand)]
    User(UserCommand),
    /// Reads the whole data dir, of a running broker or a stopped one, and changes nothing; exit code 3 if it is damaged
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes the damaged data dir of a stopped broker whole again; what is lost is shown before
    Repair {
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
    /// Copies the data dir, of a running broker or a stopped one, as of one moment
    Backup {
        /// Where to; empty or missing
        folder: PathBuf,
    },
    /// Makes a data dir, empty or missing before, of a backup
    Restore {
        /// The backup
        backup: PathBuf,
    },
    /// Sends load to a broker, any broker, and measures it; exit code 1 if it loses or duplicates messages
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Prints the version
    Version,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Says what is wrong with the configuration; exit code 2 if anything is
    Check,
    /// Prints a configuration
    Print(PrintArgs),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct PrintArgs {
    /// Every key with its value and where it came from; secrets are not shown
    #[arg(long)]
    pub(super) effective: bool,
    /// What the broker that runs on the data dir has in effect
    #[arg(long)]
    pub(super) running: bool,
    /// The documented sample file
    #[arg(long)]
    pub(super) sample: bool,
    /// The table of the reference page
    #[arg(long)]
    pub(super) reference: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Adds a user; the password is read from the terminal or from standard input
    Add {
        /// Name of the user
        name: String,
        /// Tag, like administrator; may be repeated
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// Adds it without a password: it can use access keys only
        #[arg(long, conflicts_with = "password_file")]
        no_password: bool,
        /// Reads the password from a file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Lists users
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Gives a user another password, read as for add
    SetPassword {
        /// Name of the user
        name: String,
        /// Reads the password from a file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Deletes a user with its permissions and access keys
    Delete {
        /// Name of the user
        name: String,
    },
    /// Sets what a user may configure, write and read in a virtual host, as regular expressions
    SetPermissions {
        /// Name of the user
        name: String,
        /// What may be created, deleted and changed; ".*" is everything, "" nothing
        configure: String,
        /// What may be written to
        write: String,
        /// What may be read from
        read: String,
        /// The virtual host
        #[arg(long, default_value = "/")]
        vhost: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags_may_stand_before_and_after_the_command() {
        let args = Args::try_parse_from([
            "viaduct",
            "--set",
            "a=1",
            "health",
            "--set",
            "b=2",
            "--data-dir",
            "x",
        ])
        .unwrap();
        assert_eq!(args.sources().data_dir, Some("x".into()));
        assert!(args.sources().set.contains(&"b=2".to_owned()));
    }
}
