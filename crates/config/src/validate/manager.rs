//! Rules for `pm` and `pm.*`.

use super::Validator;
use crate::diagnostic::Level;
use crate::directive::Value;
use crate::table::{Pool, Table};

/// `pm` in php-fpm's numbers.
const DYNAMIC: i32 = 2;
const ONDEMAND: i32 = 3;

impl Validator<'_> {
    pub(super) fn pool_manager(&mut self, pool: usize) {
        let number = |id| self.settings(pool).integer(id);
        let manager = number(Pool::Pm);
        let max = number(Pool::PmMaxChildren);
        if manager == 0 {
            let message = "the process manager is missing (static, dynamic or ondemand)";
            self.header(pool, Level::Alert, message);
        }
        if max < 1 {
            let message = "pm.max_children must be a positive value";
            self.value(pool, Pool::PmMaxChildren, Level::Alert, message);
        }
        match manager {
            DYNAMIC => self.pool_dynamic(pool, max),
            ONDEMAND => self.pool_ondemand(pool),
            _ => {}
        }
    }

    fn pool_dynamic(&mut self, pool: usize, children: i32) {
        let number = |id| self.settings(pool).integer(id);
        let min = number(Pool::PmMinSpareServers);
        let max = number(Pool::PmMaxSpareServers);
        let start = number(Pool::PmStartServers);
        let rate = number(Pool::PmMaxSpawnRate);
        let mut problem = None;
        for (id, spare) in [(Pool::PmMinSpareServers, min), (Pool::PmMaxSpareServers, max)] {
            if spare <= 0 {
                let name = id.directive().name;
                let message = format!("{name}({spare}) must be a positive value");
                self.value(pool, id, Level::Alert, &message);
                problem = Some(());
            }
        }
        // The rules that follow compare numbers that must make sense first.
        if problem.is_none() && children > 0 {
            if min > children || max > children {
                let id = match min > children {
                    true => Pool::PmMinSpareServers,
                    false => Pool::PmMaxSpareServers,
                };
                let message = format!(
                    "pm.min_spare_servers({min}) and pm.max_spare_servers({max}) cannot be greater \
                     than pm.max_children({children})"
                );
                self.value(pool, id, Level::Alert, &message);
            } else if max < min {
                let message = format!("pm.max_spare_servers({max}) must not be less than pm.min_spare_servers({min})");
                self.value(pool, Pool::PmMaxSpareServers, Level::Alert, &message);
            } else if start <= 0 {
                let start = min + (max - min) / 2;
                let message = format!("pm.start_servers is not set. It's been set to {start}.");
                self.value(pool, Pool::PmStartServers, Level::Notice, &message);
                self.put(pool, Pool::PmStartServers, Value::Integer(start));
            } else if start < min || start > max {
                let message = format!(
                    "pm.start_servers({start}) must not be less than pm.min_spare_servers({min}) \
                     and not greater than pm.max_spare_servers({max})"
                );
                self.value(pool, Pool::PmStartServers, Level::Alert, &message);
            }
        }
        if rate < 1 {
            let message = "pm.max_spawn_rate must be a positive value";
            self.value(pool, Pool::PmMaxSpawnRate, Level::Alert, message);
        }
    }

    fn pool_ondemand(&mut self, pool: usize) {
        if self.mechanism().is_some_and(|mechanism| mechanism != "epoll") {
            let message = "ondemand process manager can ONLY be used when events.mechanism is \
                           either epoll (Linux) or kqueue (*BSD).";
            self.value(pool, Pool::Pm, Level::Alert, message);
        }
        let timeout = self.settings(pool).integer(Pool::PmProcessIdleTimeout);
        if timeout < 1 {
            let message = format!("pm.process_idle_timeout({timeout}s) must be greater than 0s");
            self.value(pool, Pool::PmProcessIdleTimeout, Level::Alert, &message);
        }
        let backlog = self.settings(pool).integer(Pool::ListenBacklog);
        if backlog < -1 {
            let message = format!(
                "listen.backlog({backlog}) was too low for the ondemand process manager. I updated \
                 it for you to -1."
            );
            self.value(pool, Pool::ListenBacklog, Level::Warning, &message);
            self.put(pool, Pool::ListenBacklog, Value::Integer(-1));
        }
        for id in [Pool::PmStartServers, Pool::PmMinSpareServers, Pool::PmMaxSpareServers] {
            self.put(pool, id, Value::Integer(0));
        }
    }
}
