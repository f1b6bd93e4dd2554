//! A check that so many requests can run at the same time.

use crate::fcgi::{Call, Conn};
use crate::server::Server;
use crate::wait::PHP_WAIT_FOR;

const SCRIPT: &str = r#"
touch("{$_GET['dir']}/{$_GET['i']}");
for ($i = 0; $i < $_GET['n']; $i++) wait_for("{$_GET['dir']}/$i");
echo 'met';"#;

impl Server {
    /// Sends `n` requests to the first pool that can end only if all run at once, since each waits for all the
    /// others. Afterwards all of at least `n` workers are known to be there and to serve.
    #[track_caller]
    pub fn meet(&self, n: usize) {
        let answers = self.answers_of_meeting(n);
        assert!(answers.iter().all(|answer| answer == "met"), "{answers:?}");
    }

    /// Whether [`Server::meet`] succeeds.
    pub fn meets(&self, n: usize) -> bool {
        self.answers_of_meeting(n).iter().all(|answer| answer == "met")
    }

    #[track_caller]
    fn answers_of_meeting(&self, n: usize) -> Vec<String> {
        let site = self.site();
        let dir = site.unique("meet");
        site.file("meet.php", format!("{PHP_WAIT_FOR}{SCRIPT}"));
        let mut conns: Vec<Conn> = (0..n).map(|_| self.connect()).collect();
        for (i, conn) in conns.iter_mut().enumerate() {
            let uri = format!("/meet.php?n={n}&i={i}&dir={}", dir.display());
            conn.send(Call::get(site, &uri).encode(1));
        }
        let answer = |mut conn: Conn| conn.read_answer(1).map_or_else(|e| e.to_string(), |answer| answer.text());
        conns.into_iter().map(answer).collect()
    }
}
