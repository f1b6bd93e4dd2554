//! The typed configuration: what each directive comes to.

mod support;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ftm_config::{
    AccessField, CoreLimit, EnvValue, ErrorLog, ExecutionClock, Level, ListenAddress, LoadOptions, ProcessManager, load,
};
use support::memory::Memory;
use support::{GOOD, load_files, load_text};

#[test]
fn a_full_configuration_comes_out_as_written() {
    let text = r#"
pid = run/ftm.pid
error_log = syslog
syslog.ident = web-$x
syslog.facility = local3
log_level = Debug
log_limit = 8K
"#
    .replace("8K", "8192")
        + r#"
emergency_restart_threshold = 3
emergency_restart_interval = 1m
process_control_timeout = 10s
process.max = 128
process.priority = -19
daemonize = no
rlimit_files = 4096
rlimit_core = unlimited
events.mechanism = EPoll
systemd_interval = 0
[www]
prefix = /srv/www
user = www-data
group = 33
listen = [::1]:9000
listen.backlog = 511
listen.owner = root
listen.group = root
listen.mode = 0600
listen.acl_users = a,b
listen.allowed_clients = 127.0.0.1,::1,nobody
process.dumpable = yes
pm = dynamic
pm.max_children = 9
pm.min_spare_servers = 2
pm.max_spare_servers = 5
pm.max_requests = 500
pm.max_thread_memory = 64M
pm.max_memory = 1G
pm.status_path = /status
pm.status_listen = 9001
ping.path = /ping
access.log = log/$pool.log
access.suppress_path[] = /ping
slowlog = log/slow
request_slowlog_timeout = 5
request_terminate_timeout = 1h
rlimit_core = 1000
chdir = /
clear_env = no
security.limit_extensions = .php  .html
request_body_buffer = 1M
response_buffer = 0
request_params_limit = 64k
request_body_min_rate = 0
response_timeout = 0
force_kill_deadline = 0
max_abandoned_threads = 2
opcache_restart_timeout = 2m
crash_drain_timeout = 3s
connection_max_requests = 16
max_execution_clock = WALL
thread_stack_size = 16M
"#;
    let config = load_text(&text).expect("good").config;
    let global = &config.global;
    assert_eq!(global.pid.as_deref(), Some(Path::new("/var/run/ftm.pid")));
    assert_eq!(global.error_log, ErrorLog::Syslog);
    assert_eq!((global.syslog_ident.to_str(), global.syslog_facility), (Some("web-$x"), 19 << 3));
    assert_eq!((global.log_level, global.log_limit), (Level::Debug, 8192));
    let restart = global.emergency_restart.expect("set");
    assert_eq!((restart.threshold.get(), restart.interval.as_secs()), (3, 60));
    assert_eq!(global.process_control_timeout, Duration::from_secs(10));
    assert_eq!(global.process_max.map(u32::from), Some(128));
    assert_eq!(global.process_priority, Some(-19));
    assert!(!global.daemonize && global.log_buffering);
    assert_eq!(global.rlimit_files.map(u32::from), Some(4096));
    assert_eq!(global.rlimit_core, Some(CoreLimit::Unlimited));
    assert_eq!(global.events_mechanism, Some("epoll"));
    assert_eq!(global.systemd_interval, None);

    let pool = &config.pools[0];
    assert_eq!((pool.name.as_str(), config.pools.len()), ("www", 1));
    assert_eq!(pool.prefix.as_deref(), Some(Path::new("/srv/www")));
    assert_eq!((pool.user.as_deref(), pool.group.as_deref()), (Some("www-data"), Some("33")));
    let listen = &pool.listen;
    let host = Some("::1".to_string());
    assert_eq!(listen.address, ListenAddress::Tcp { host, port: 9000 });
    assert_eq!((listen.name.to_str(), listen.backlog), (Some("[::1]:9000"), 511));
    assert_eq!((listen.owner.as_deref(), listen.mode), (Some("root"), 0o600));
    assert_eq!(listen.acl_users, ["a", "b"]);
    let clients = listen.allowed_clients.as_ref().expect("set");
    assert_eq!(clients.addresses.len(), 2);
    assert_eq!(clients.wrong, ["nobody"]);
    assert!(pool.process_dumpable);
    assert_eq!(
        pool.process_manager,
        ProcessManager::Dynamic { start_servers: 3, min_spare_servers: 2, max_spare_servers: 5, max_spawn_rate: 32 }
    );
    assert_eq!((pool.max_children, pool.max_requests.map(u32::from)), (9, Some(500)));
    assert_eq!(pool.max_thread_memory.map(u64::from), Some(64 << 20));
    assert_eq!(pool.max_memory.map(u64::from), Some(1 << 30));
    assert_eq!(pool.status_path.as_deref(), Some("/status"));
    let status = Some(ListenAddress::Tcp { host: None, port: 9001 });
    assert_eq!(pool.status_listen, status);
    let ping = pool.ping.as_ref().expect("set");
    assert_eq!((ping.path.as_str(), ping.response.to_str()), ("/ping", Some("pong")));
    let access = pool.access.as_ref().expect("set");
    assert_eq!(access.file, Path::new("/srv/www/log/www.log"));
    assert_eq!(access.format.len(), 11, "%R - %u %t \"%m %r\" %s: {:?}", access.format);
    assert_eq!((access.format.first(), access.format.last()), (Some(&AccessField::Peer), Some(&AccessField::Status)));
    assert_eq!(access.suppress_paths, ["/ping"]);
    assert_eq!(pool.slowlog.as_deref(), Some(Path::new("/srv/www/log/slow")));
    assert_eq!(pool.request_slowlog_timeout, Some(Duration::from_secs(5)));
    assert_eq!(pool.request_slowlog_trace_depth, 20);
    assert_eq!(pool.request_terminate_timeout, Some(Duration::from_secs(3600)));
    assert!(matches!(pool.rlimit_core, Some(CoreLimit::Bytes(bytes)) if bytes.get() == 1000));
    assert_eq!((pool.chroot.as_deref(), pool.chdir.as_deref()), (None, Some(Path::new("/"))));
    assert!(!pool.clear_env && pool.decorate_workers_output && !pool.catch_workers_output);
    assert_eq!(pool.limit_extensions, [".php", ".html"]);
    assert_eq!((pool.request_body_buffer, pool.response_buffer), (1 << 20, 0));
    assert_eq!((pool.request_params_limit, pool.request_body_min_rate), (65536, None));
    assert_eq!((pool.response_timeout, pool.connection_max_requests), (None, 16));
    assert_eq!((pool.force_kill_deadline, pool.max_abandoned_threads), (None, 2));
    assert_eq!(pool.opcache_restart_timeout, Duration::from_secs(120));
    assert_eq!(pool.crash_drain_timeout, Duration::from_secs(3));
    assert_eq!(pool.max_execution_clock, ExecutionClock::Wall);
    assert_eq!(pool.thread_stack_size, Some(16 << 20));
}

#[test]
fn defaults_are_php_fpms_and_ours() {
    let config = load_text(GOOD).expect("good").config;
    let global = &config.global;
    assert_eq!(global.pid, None);
    assert_eq!(global.error_log, ErrorLog::File("/var/log/php-fpm.log".into()));
    assert_eq!((global.log_level, global.daemonize), (Level::Notice, true));
    assert_eq!(global.systemd_interval, Some(Duration::from_secs(10)));
    assert_eq!(global.emergency_restart, None);
    let pool = &config.pools[0];
    assert_eq!(pool.listen.address, ListenAddress::Unix("/run/www.sock".into()));
    assert_eq!((pool.listen.mode, pool.listen.backlog), (0o660, -1));
    assert_eq!((pool.process_manager, pool.max_children), (ProcessManager::Static, 4));
    assert_eq!((pool.ping.as_ref(), pool.access.as_ref()), (None, None));
    assert_eq!(pool.limit_extensions, [".php", ".phar"]);
    assert!(pool.clear_env);
    assert_eq!((pool.request_body_buffer, pool.response_buffer), (262_144, 1 << 20));
    assert_eq!(pool.request_params_limit, 1 << 20);
    assert_eq!(pool.request_body_min_rate.map(u64::from), Some(1024));
    assert_eq!(pool.response_timeout, Some(Duration::from_secs(300)));
    assert_eq!(pool.connection_max_requests, 128);
    assert_eq!((pool.force_kill_deadline, pool.max_abandoned_threads), (Some(Duration::from_secs(5)), 4));
    assert_eq!(pool.max_execution_clock, ExecutionClock::Cpu);
    assert_eq!(pool.thread_stack_size, None);
}

#[test]
fn env_and_php_values_come_in_the_order_they_are_applied() {
    let text = format!(
        "{GOOD}php_admin_value[a] = 1\nenv[A] = x\nphp_value[b] = 2\nphp_flag[c] = on\n\
         env[PATH] = $PATH\nphp_admin_flag[d] = off\nphp_value[b] = 3\nenv[A] = y$\n"
    );
    let config = load_text(&text).expect("good").config;
    let pool = &config.pools[0];
    let values: Vec<_> = pool.php_values.iter().map(|v| (v.name.to_str(), v.value.to_str(), v.admin, v.flag)).collect();
    assert_eq!(
        values,
        [
            (Some("b"), Some("3"), false, false),
            (Some("c"), Some("1"), false, true),
            (Some("b"), Some("2"), false, false),
            (Some("d"), Some("0"), true, true),
            (Some("a"), Some("1"), true, false),
        ]
    );
    // php-fpm's scanner takes a final '$' together with the newline behind it.
    let text = |text: &str| EnvValue::Text(text.into());
    let path = EnvValue::Inherited("PATH".into());
    let expected: [(OsString, EnvValue); 3] =
        [("A".into(), text("y$\n")), ("PATH".into(), path), ("A".into(), text("x"))];
    assert_eq!(pool.env, expected);
}

#[test]
fn variables_come_from_outside_and_have_php_8_3_defaults() {
    let text = format!(
        "{GOOD}env[a] = ${{A}}/${{B:-none}}\nenv[b] = \"${{B:-${{C:-x y}}}}!\"\nenv[c] = <${{C}}>\n\
         env[d] = ${{A:-unused}}\nenv[e] = ${{C:-}}${{C:-\"q \\\" q\"}}\nenv[f]=${{C:-E_ALL}}\n"
    );
    let files = Memory::new(&[("t.conf", text.as_bytes())], &[]);
    let options =
        LoadOptions { files: &files, variable: &|name| (name == "A").then(|| "one".into()), ..LoadOptions::default() };
    let loaded = load("t.conf".as_ref(), &options).expect("good");
    let mut env = loaded.config.pools[0].env.clone();
    env.reverse();
    let expected = ["one/none", "x y!", "<>", "one", "q \" q", "32767"];
    let values: Vec<EnvValue> = env.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, expected.map(|text| EnvValue::Text(text.into())));
}

#[test]
fn constants_can_be_given() {
    let text = format!("{GOOD}env[a] = PHP_VERSION/E_ALL\n");
    let files = Memory::new(&[("t.conf", text.as_bytes())], &[]);
    let constant = |name: &str| ftm_config::php_constant(name, "8.4.1");
    let value = |options: &LoadOptions<'_>| {
        let loaded = load("t.conf".as_ref(), options).expect("good");
        loaded.config.pools[0].env[0].1.clone()
    };
    let mut options = LoadOptions { files: &files, ..LoadOptions::default() };
    assert_eq!(value(&options), EnvValue::Text("PHP_VERSION/E_ALL".into()));
    options.constant = &constant;
    // A word with a slash in it is no constant.
    assert_eq!(value(&options), EnvValue::Text("PHP_VERSION/E_ALL".into()));
    let text = format!("{GOOD}env[a] = PHP_VERSION E_ALL\n");
    let files = Memory::new(&[("t.conf", text.as_bytes())], &[]);
    options.files = &files;
    assert_eq!(value(&options), EnvValue::Text("8.4.1 30719".into()));
}

#[test]
fn numbers_beyond_32_bits_stay_at_the_limit() {
    let text = format!("{GOOD}pm.max_requests = 99999999999\nrequest_terminate_timeout = 99999d\n");
    let pool = load_text(&text).expect("good").config.pools.remove(0);
    let most = i32::MAX.unsigned_abs();
    assert_eq!(pool.max_requests.map(u32::from), Some(most));
    assert_eq!(pool.request_terminate_timeout, Some(Duration::from_secs(most.into())));
}

#[test]
fn sections_return_and_includes_go_on_in_the_section() {
    let files = Memory::new(
        &[
            ("t.conf", b"[www]\ninclude = /etc/d/*\npm = static\n[global]\npid = /x\n[WWW]\npm.max_children = 2\n"),
            ("/etc/d/b.conf", b"listen = 2\n"),
            ("/etc/d/a.conf", b"listen = 1\n"),
            ("/etc/d/.c.conf", b"listen = 3\n"),
            ("/etc/d/sub/x.conf", b"listen = 4\n"),
        ],
        &[],
    );
    let config = load_files(&files).expect("good").config;
    assert_eq!(config.pools.len(), 1);
    assert_eq!(config.pools[0].listen.name, "2");
    assert_eq!(config.global.pid, Some(PathBuf::from("/x")));
}

#[test]
fn relative_paths_follow_the_command_line() {
    let text = "pid = a.pid\nerror_log = b.log\ninclude = etc/*.conf\n";
    let files =
        Memory::new(&[("t.conf", text.as_bytes()), ("/opt/etc/www.conf", GOOD.replace("/run/", "").as_bytes())], &[]);
    let options = LoadOptions {
        files: &files,
        prefix: Some("/opt".into()),
        pid: Some("/run/not-this-one".into()),
        daemonize: Some(false),
        ..LoadOptions::default()
    };
    let config = load("t.conf".as_ref(), &options).expect("good").config;
    assert_eq!(config.global.pid, Some("/opt/a.pid".into()));
    assert_eq!(config.global.error_log, ErrorLog::File("/opt/b.log".into()));
    assert_eq!(config.pools[0].listen.name, "/opt/www.sock");
    assert!(!config.global.daemonize);
    let options = LoadOptions { prefix: Some("/nowhere".into()), ..options };
    let errors = load("t.conf".as_ref(), &options).expect_err("bad");
    let said: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        said,
        ["the global prefix '/nowhere' does not exist or is not a directory", "FPM initialization failed"]
    );
}

#[test]
fn the_pid_file_of_the_command_line_fills_a_gap() {
    let files = Memory::new(&[("t.conf", GOOD.as_bytes())], &[]);
    let options = LoadOptions { files: &files, pid: Some("x.pid".into()), ..LoadOptions::default() };
    let config = load("t.conf".as_ref(), &options).expect("good").config;
    assert_eq!(config.global.pid, Some("/var/x.pid".into()));
}

/// An administrator who empties the list must not open the pool to the world.
#[test]
fn allowed_clients_set_to_nothing_allow_nobody() {
    let clients = |line: &str| {
        let loaded = load_text(&format!("{GOOD}{line}\n")).expect("good");
        loaded.config.pools[0].listen.allowed_clients.clone()
    };
    for line in ["listen.allowed_clients =", "listen.allowed_clients = \"\""] {
        let clients = clients(line).expect("set");
        assert!(clients.addresses.is_empty(), "{line}");
        assert_eq!(clients.wrong, [""], "{line}");
    }
    assert_eq!(clients(""), None);
}

#[test]
fn root_must_name_a_user_and_others_are_told_it_is_ignored() {
    let files = Memory::new(&[("t.conf", GOOD.as_bytes())], &[]);
    let mut options = LoadOptions { files: &files, is_root: true, ..LoadOptions::default() };
    let errors = load("t.conf".as_ref(), &options).expect_err("bad");
    assert_eq!(errors[0].message, "[pool www] user has not been defined");
    assert_eq!(errors[0].level, Some(Level::Alert));
    options.root_allowed = true;
    assert!(load("t.conf".as_ref(), &options).is_ok());

    let text = format!("process.priority = 2\n{GOOD}user = a\nprocess.priority = 3\n");
    let loaded = load_text(&text).expect("good");
    let notices = loaded.config.ignored_without_root();
    let said: Vec<&str> = notices.iter().map(|notice| notice.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "'process.priority' directive is ignored when FPM is not running as root",
            "[pool www] 'user' directive is ignored when FPM is not running as root",
            "[pool www] 'process.priority' directive is ignored when FPM is not running as root"
        ]
    );
}

/// What `-tt` prints can be read again and says the same.
#[test]
fn a_dump_read_again_dumps_the_same() {
    let text = format!(
        "log_level = error\npid = /x\nprocess_control_timeout = 3m\n{GOOD}user = a\nchdir = /srv\n\
         pm = ondemand\nlisten.mode = 0600\nslowlog = /s\nphp_value[a] = b c\nphp_flag[d] = on\nenv[E] = f\n\
         env[G] = h\naccess.suppress_path[] = /p\nthread_stack_size = 1M\nmax_execution_clock = wall\n"
    );
    let read = |text: &str| load_text(text).unwrap_or_else(|e| panic!("{text}{}", e[0])).config.dump();
    // php-fpm prints the facility as a number, which it does not read.
    let unread = |line: &&String| line.contains("= undefined") || line.contains("facility");
    let again = |dump: &[String]| -> Vec<String> {
        let lines = dump.iter().filter(|line| !unread(line));
        read(&lines.map(|line| format!("{}\n", line.trim())).collect::<String>())
    };
    let (arrays, scalars): (Vec<String>, Vec<String>) =
        read(&text).into_iter().partition(|line| line.starts_with('\t') && line.contains('['));
    assert_eq!(arrays.len(), 5);
    let once = read(&text);
    let twice = again(&once);
    // Arrays come out backwards each time.
    let of = |dump: &[String]| -> Vec<String> { dump.iter().filter(|l| !arrays.contains(l)).cloned().collect() };
    assert_eq!(of(&twice), scalars);
    assert_eq!(again(&twice), once);
}

#[test]
fn includes_are_read_from_disk_in_order() {
    let directory = std::env::temp_dir().join(format!("ftm-config-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("pool.d/sub.conf")).expect("temporary directory");
    let write = |name: &str, text: String| {
        std::fs::write(directory.join(name), text).expect("temporary file");
    };
    let pattern = directory.join("pool.d/*.conf");
    write("main.conf", format!("include = {}\n", pattern.display()));
    write("pool.d/b.conf", GOOD.replace("www", "b"));
    write("pool.d/a.conf", GOOD.replace("www", "a"));
    write("pool.d/c.conf.bak", "nonsense".into());
    let loaded = load(&directory.join("main.conf"), &LoadOptions::default());
    std::fs::remove_dir_all(&directory).expect("temporary directory");
    let names: Vec<String> = loaded.expect("good").config.pools.into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["a", "b"]);
}
