//! Request bodies: forms, uploads, other types, lengths that are not what they should be.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::Cases;

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=B";

/// A part of a multipart body.
fn part(head: &str, content: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
}

pub fn cases(cases: &mut Cases<'_>) {
    forms(cases);
    uploads(cases);
    types(cases);
    lengths(cases);
    readers(cases);
}

/// Bodies without a length.
pub fn unannounced(cases: &mut Cases<'_>) {
    let post = Call::post(cases.site, "/upload.php", FORM, "a=1");
    cases.call("no length", post.clone().without("CONTENT_LENGTH"));
    cases.call("empty length", post.param("CONTENT_LENGTH", ""));
}

fn forms(cases: &mut Cases<'_>) {
    let mut form = |name: &str, body: &str| cases.call(name, Call::post(cases.site, "/vars.php?q=get", FORM, body));
    form("form", "a=1&b=two+words&c=%C3%A4&q=post");
    form("form of arrays", "a[]=1&a[]=2&a[k]=3&b[x][y]=4&c[=5&d]=6&e[f=7");
    form("form of odd names", "a.b=1&c d=2&+e=3&=4&f&&g=&%00h=5&i%00j=6&1=7");
    form("form with equal names", "a=1&a=2&a[]=3&A=4");
    form("form with bytes", "a=%FF%FE&b=\u{7f}%0D%0A&c=%zz&d=%4");
    form("form of a thousand and one", &(0..1001).map(|i| format!("v{i}={i}&")).collect::<String>());
    form("form of one long value", &format!("long={}", "x".repeat(300_000)));
    form("deep form", &format!("a{}=1", "[x]".repeat(70)));
    form("form of nothing", "");
}

fn uploads(cases: &mut Cases<'_>) {
    let mut upload = |name: &str, kind: &str, body: String| {
        cases.call(name, Call::post(cases.site, "/upload.php?q=get", kind, body));
    };
    let file = part("name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain", "content");
    let field = part("name=\"q\"", "value");
    upload("upload", MULTIPART, format!("{field}{file}--B--\r\n"));
    upload("several uploads", MULTIPART, {
        let more =
            part("name=\"m[]\"; filename=\"../../etc/x.png\"", "1") + &part("name=\"m[k]\"; filename=\"\u{e4}\"", "");
        format!("{more}{file}{field}--B--")
    });
    upload("upload without a name", MULTIPART, format!("{}--B--", part("filename=\"x\"", "data")));
    upload("upload without a file", MULTIPART, format!("{}--B--", part("name=\"f\"; filename=\"\"", "")));
    upload("upload that is too large", MULTIPART, {
        let large = part("name=\"f\"; filename=\"large\"", &"x".repeat(3 << 20));
        format!("{large}{field}--B--")
    });
    upload("upload over MAX_FILE_SIZE", MULTIPART, format!("{}{file}--B--", part("name=\"MAX_FILE_SIZE\"", "3")));
    upload("many uploads", MULTIPART, {
        let many: String = (0..25).map(|i| part(&format!("name=\"f{i}\"; filename=\"{i}\""), "x")).collect();
        many + "--B--"
    });
    upload("quoted boundary", "multipart/form-data; boundary=\"B\"; charset=utf-8", format!("{field}--B--"));
    upload("no boundary", "multipart/form-data", format!("{field}--B--"));
    upload("empty boundary", "multipart/form-data; boundary=", format!("{field}--B--"));
    upload("another boundary", "multipart/form-data; boundary=C", format!("{field}--B--"));
    upload("multipart that breaks off", MULTIPART, file[..file.len() - 5].to_owned());
    upload("multipart without an end", MULTIPART, format!("{field}{file}"));
    upload("multipart of nothing", MULTIPART, String::new());
    upload("multipart with line feeds", MULTIPART, format!("{field}{file}--B--").replace("\r\n", "\n"));
    cases.site.file(
        "upload.php",
        r#"<?php
foreach ($_FILES as &$file) {
    $file['content'] = array_map(fn($f) => $f && is_uploaded_file($f) ? substr(file_get_contents($f), 0, 20) : null,
        (array) $file['tmp_name']);
    unset($file['tmp_name']);
}
echo json_encode([$_GET, $_POST, $_FILES, strlen(file_get_contents('php://input'))], JSON_INVALID_UTF8_SUBSTITUTE);"#,
    );
}

fn types(cases: &mut Cases<'_>) {
    for kind in [
        "",
        "application/json",
        "text/plain; charset=x",
        "APPLICATION/X-WWW-FORM-URLENCODED",
        "application/x-www-form-urlencoded;x",
        " application/x-www-form-urlencoded",
        "nonsense",
    ] {
        cases.call(&format!("type {kind:?}"), Call::post(cases.site, "/vars.php", kind, "a=1&b=2"));
    }
    let untyped = Call::post(cases.site, "/vars.php", "", "a=1").without("CONTENT_TYPE");
    cases.call("no type", untyped.clone());
    for method in ["PUT", "GET", "DELETE", "HEAD"] {
        let call = Call::post(cases.site, "/vars.php", FORM, "a=1&b=2").param("REQUEST_METHOD", method);
        cases.call(&format!("body of a {method}"), call);
    }
    let http = untyped.param("HTTP_CONTENT_TYPE", FORM).param("HTTP_CONTENT_LENGTH", "3");
    cases.call("type in a header's name", http);
}

fn lengths(cases: &mut Cases<'_>) {
    let post =
        |body: &str, length: &str| Call::post(cases.site, "/vars.php", FORM, body).param("CONTENT_LENGTH", length);
    let all = [
        ("shorter length", post("a=1&b=2", "3")),
        ("length 0", post("a=1", "0")),
        ("length in words", post("a=1", "three")),
        ("length with a blank", post("a=1", " 3")),
        ("length with a sign", post("a=1", "+3")),
        ("length with a tail", post("a=1", "3x")),
        ("length with zeros", post("a=1", "0003")),
        ("length in hexadecimal", post("a=1", "0x3")),
        ("no length and no body", Call::post(cases.site, "/vars.php", FORM, "").without("CONTENT_LENGTH")),
        ("over post_max_size", Call::post(cases.site, "/vars.php", FORM, format!("a={}", "x".repeat(9 << 20)))),
        ("over post_max_size, other type", Call::post(cases.site, "/upload.php", "a/b", "x".repeat(9 << 20))),
        ("over post_max_size, multipart", {
            let large = part("name=\"f\"; filename=\"large\"", &"x".repeat(9 << 20));
            Call::post(cases.site, "/upload.php", MULTIPART, format!("{large}--B--"))
        }),
        ("length of two", {
            let mut call = Call::post(cases.site, "/vars.php", FORM, "a=1&b=2");
            call.params.push((b"CONTENT_LENGTH".to_vec(), b"3".to_vec()));
            call
        }),
    ];
    all.into_iter().for_each(|(name, call)| cases.call(name, call));
}

/// Ways in which scripts read what was sent.
fn readers(cases: &mut Cases<'_>) {
    let read = |cases: &mut Cases<'_>, name: &str, kind: &str, body: &str, code: &str| {
        let uri = cases.script(name, code);
        cases.call(name, Call::post(cases.site, &uri, kind, body));
    };
    read(
        cases,
        "input read twice",
        FORM,
        "a=1",
        "echo file_get_contents('php://input'), file_get_contents('php://input');",
    );
    read(
        cases,
        "input in pieces",
        "a/b",
        "0123456789",
        "$f = fopen('php://input', 'r'); echo fread($f, 3), '|'; fseek($f, 1); echo fgets($f); var_dump(feof($f), fstat($f)['size']);",
    );
    read(cases, "stdin", "a/b", "body", "var_dump(defined('STDIN'), @file_get_contents('php://stdin'));");
    read(cases, "body not read", "a/b", &"x".repeat(200_000), "echo 'ignored';");
    read(
        cases,
        "body read in part",
        "a/b",
        &"x".repeat(200_000),
        "echo strlen(fread(fopen('php://input', 'r'), 100));",
    );
    read(cases, "input written", "a/b", "body", "var_dump(file_put_contents('php://input', 'x'));");
    read(
        cases,
        "include of the input",
        "a/b",
        "<?php echo 1;",
        "ini_set('allow_url_include', 1); echo @include 'php://input';",
    );
    read(
        cases,
        "moved upload",
        MULTIPART,
        &(part("name=\"f\"; filename=\"a\"", "moved") + "--B--"),
        "$to = sys_get_temp_dir() . '/moved'; var_dump(move_uploaded_file($_FILES['f']['tmp_name'], $to), file_get_contents($to), move_uploaded_file($to, $to . 2)); unlink($to);",
    );
    let file = cases.site.writable("tmp").join("body");
    std::fs::write(&file, "in=a+file").expect("the body");
    let by_file = Call::post(cases.site, "/vars.php", FORM, "").param("CONTENT_LENGTH", "9");
    cases.call("body in a file", by_file.clone().param("REQUEST_BODY_FILE", file.display().to_string()));
    cases.call(
        "body in an empty file name",
        by_file.clone().param("REQUEST_BODY_FILE", "").param("CONTENT_LENGTH", "0"),
    );
    cases.call(
        "body in a file that is longer",
        by_file.param("REQUEST_BODY_FILE", file.display().to_string()).param("CONTENT_LENGTH", "4"),
    );
}
