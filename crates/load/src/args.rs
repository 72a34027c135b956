//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Loads a SIP server with signed-in endpoints and says what it took.
#[derive(Clone, Debug, Parser)]
#[command(name = "portico-load", version)]
pub(crate) struct Args {
    /// The server's address, HOST:PORT with a numeric host. Given several times, users take turns with the
    /// addresses: the front ends of a pool.
    #[arg(long = "server", default_value = "127.0.0.1:5061")]
    pub servers: Vec<SocketAddr>,
    /// PEM file of the authority that vouches for the server. Without it the connection is clear TCP.
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// The name the server's certificate must have; the server's address by default.
    #[arg(long)]
    pub server_name: Option<String>,
    /// The SIP domain of the users.
    #[arg(long, default_value = "example.test")]
    pub domain: String,
    /// How many users take part. They are called PREFIX0, PREFIX1, and so on.
    #[arg(long, default_value_t = 200)]
    pub users: usize,
    /// What their names begin with.
    #[arg(long, default_value = "load")]
    pub user_prefix: String,
    /// The password of all of them.
    #[arg(long, default_value = "")]
    pub password: String,
    /// A process whose CPU time and memory are reported; may be given several times.
    #[arg(long = "pid")]
    pub pids: Vec<u32>,
    /// Users signed in per second while the load is set up; 200 by default, or 9 where all connections come from
    /// one address.
    #[arg(long)]
    pub sign_in_rate: Option<f64>,
    /// Sign-ins under way at once.
    #[arg(long, default_value_t = 16)]
    pub sign_in_concurrency: usize,
    /// The first local address to connect from. Following ones are counted up.
    #[arg(long)]
    pub local: Option<IpAddr>,
    /// Connections from each local address. A sign-in takes two requests, and servers limit what strangers send.
    #[arg(long, default_value_t = 8)]
    pub per_address: usize,
    /// Seconds between the keep-alives of a connection.
    #[arg(long, value_parser = seconds, default_value = "60")]
    pub ping: Duration,
    /// Threads of this tool. It usually shares a machine with the server.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub mode: Mode,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Mode {
    /// Sign in all users, then only keep the connections alive.
    Idle(Idle),
    /// Sign in over and over: connect, TLS handshake, challenge, REGISTER, disconnect.
    SignIn(SignIn),
    /// Pairs of users exchange MESSAGEs outside of dialogs.
    Page(Page),
    /// Pairs of users hold sessions: INVITE, some MESSAGEs, BYE.
    Session(Session),
    /// Users publish presence and watch each other.
    Presence(Presence),
    /// All users sign in at once, publish and subscribe, until each knows the state of all contacts.
    Storm(Storm),
    /// Serve as a relay of bytes over TLS that does no protocol work: the floor.
    Relay(Relay),
    /// Serve as the least that a SIP server can be on our transport and parser: no transactions, no roles.
    Switchboard(Relay),
}

/// Options of `idle`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Idle {
    /// Seconds to hold the connections and measure.
    #[arg(long, value_parser = seconds, default_value = "30")]
    pub hold: Duration,
}

/// Options of `sign-in`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SignIn {
    #[command(flatten)]
    pub window: Window,
    /// Sign-ins under way at once.
    #[arg(long, default_value_t = 8)]
    pub concurrency: usize,
    /// Sign-ins per second; as many as possible by default.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Resume TLS sessions where the server offers it.
    #[arg(long)]
    pub resume: bool,
}

/// Options of `page`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Page {
    #[command(flatten)]
    pub window: Window,
    /// Bytes of each MESSAGE, head included.
    #[arg(long, default_value_t = 900)]
    pub size: usize,
    /// MESSAGEs under way at once; the next is sent when one is answered.
    #[arg(long, default_value_t = 100)]
    pub concurrency: usize,
    /// Send at this rate per second instead, whatever is answered. Latency counts from the time a message was
    /// due.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Also send the same bytes through a relay that does no protocol work, in the same run.
    #[arg(long)]
    pub floor: bool,
}

/// Options of `session`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Session {
    #[command(flatten)]
    pub window: Window,
    /// Bytes of each MESSAGE, head included.
    #[arg(long, default_value_t = 900)]
    pub size: usize,
    /// MESSAGEs in a session.
    #[arg(long, default_value_t = 10)]
    pub messages: u32,
    /// Sessions under way at once; the next begins when one ends.
    #[arg(long, default_value_t = 50)]
    pub concurrency: usize,
    /// Begin so many sessions per second instead, whatever is under way. Latency counts from the time a session was
    /// due.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Also send the same bytes through a relay that does no protocol work, in the same run.
    #[arg(long)]
    pub floor: bool,
}

/// Options of `presence`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Presence {
    #[command(flatten)]
    pub window: Window,
    #[command(flatten)]
    pub contacts: Contacts,
    /// Publications per second, by all users in turn.
    #[arg(long, default_value_t = 10.0)]
    pub rate: f64,
    /// Users per second who publish and subscribe for the first time, once all are signed in.
    #[arg(long, default_value_t = 100.0)]
    pub enter_rate: f64,
}

/// Options of `storm`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Storm {
    #[command(flatten)]
    pub contacts: Contacts,
}

/// Who watches whom.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Contacts {
    /// How many contacts each user watches. Each is watched by as many.
    #[arg(long, default_value_t = 80)]
    pub contacts: usize,
    /// How a user subscribes to them.
    #[arg(long, value_enum, default_value_t = Subscribe::List)]
    pub subscribe: Subscribe,
    /// Seconds after the last user subscribed until each must have learned of each contact.
    #[arg(long, value_parser = seconds, default_value = "60")]
    pub patience: Duration,
    /// Seconds after the last publication until each watcher must know it.
    #[arg(long, value_parser = seconds, default_value = "2")]
    pub settle: Duration,
}

/// How a user subscribes to contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subscribe {
    /// To all in one dialog, with the list in the request (RFC 5367).
    List,
    /// To each in a dialog of its own, ten in a second.
    Single,
}

/// When a load is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Window {
    /// Seconds to measure.
    #[arg(long, value_parser = seconds, default_value = "10")]
    pub duration: Duration,
    /// Seconds under load before that.
    #[arg(long, value_parser = seconds, default_value = "2")]
    pub warm_up: Duration,
}

/// Options of `relay` and `switchboard`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Relay {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// File to write the certificate to, for `--ca`.
    #[arg(long)]
    pub ca_out: PathBuf,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
        let line = "portico-load --server 127.0.0.1:5061 --users 4 --pid 1 --pid 2 -o json page --rate 10 --duration 0.5";
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        assert_eq!((args.pids, args.output), (vec![1, 2], Output::Json));
        let Mode::Page(page) = args.mode else {
            panic!("{:?}", args.mode)
        };
        assert_eq!(
            (page.window.duration, page.rate),
            (Duration::from_millis(500), Some(10.0))
        );
    }
}
