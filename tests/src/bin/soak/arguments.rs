//! The command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is asked for.
pub struct Arguments {
    pub time: Duration,
    pub seed: u64,
    /// How often the server is looked at.
    pub every: Duration,
    /// The kinds that run; empty: all.
    pub only: Vec<String>,
    /// So many clients, instead of the mix's.
    pub clients: Option<usize>,
}

/// PHP threads of each pool.
const THREADS: usize = 12;

impl Arguments {
    /// Reads `[--minutes N] [--seed N] [--every SECONDS] [--only KIND,KIND…] [--clients N]`.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut arguments = Self {
            time: minutes(5),
            seed: now.as_nanos() as u64,
            every: Duration::from_secs(15),
            only: Vec::new(),
            clients: None,
        };
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_default();
            let number = value.parse::<u64>().ok();
            match (word.as_str(), number) {
                ("--minutes", Some(n)) if n > 0 => arguments.time = minutes(n),
                ("--seed", Some(n)) => arguments.seed = n,
                ("--every", Some(n)) if n > 0 => arguments.every = Duration::from_secs(n),
                ("--clients", Some(n)) if n > 0 => arguments.clients = Some(n as usize),
                ("--only", _) => arguments.only = value.split(',').map(str::to_owned).collect(),
                _ => {
                    return Err(format!(
                        "{word} {value}: want --minutes N, --seed N, --every SECONDS, --only KIND,KIND, --clients N"
                    ));
                }
            }
        }
        Ok(arguments)
    }

    /// PHP threads of each pool.
    pub fn threads(&self) -> usize {
        self.clients.map_or(THREADS, |clients| clients.max(THREADS))
    }
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}
