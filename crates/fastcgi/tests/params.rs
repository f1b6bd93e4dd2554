//! The parameters of a request as the server changes them.

mod support;

use ftm_fastcgi::Params;
use support::Random;
use support::seen::check;

#[test]
fn parameters_are_set_in_place_and_removed_in_order() {
    let mut params = Params::new();
    assert!(params.is_empty());
    assert_eq!(params.get(b""), None);
    params.set(b"A", b"1");
    params.set(b"B", b"");
    params.set(b"a", b"\0nul\0");
    params.set(b"A", b"a longer value");
    check(&params);
    let seen: Vec<_> = params.iter().collect();
    assert_eq!(seen, [(&b"A"[..], &b"a longer value"[..]), (b"B", b""), (b"a", b"\0nul\0")]);
    assert!(params.remove(b"B"));
    assert!(!params.remove(b"B"));
    params.set(b"B", b"again");
    let last_first: Vec<_> = params.iter().rev().map(|(name, _)| name).collect();
    assert_eq!(last_first, [b"B", b"a", b"A"]);
    assert_eq!(params.len(), 3);
}

#[test]
fn equality_is_of_names_values_and_order() {
    let of = |pairs: &[(&str, &str)]| {
        let mut params = Params::new();
        pairs.iter().for_each(|(name, value)| params.set(name.as_bytes(), value.as_bytes()));
        params
    };
    let mut set_twice = of(&[("A", "0"), ("B", "2")]);
    set_twice.set(b"A", b"1");
    assert_eq!(set_twice, of(&[("A", "1"), ("B", "2")]));
    assert_ne!(set_twice, of(&[("B", "2"), ("A", "1")]));
    assert_ne!(set_twice, of(&[("A", "1")]));
    assert_eq!(format!("{:?}", of(&[("A\n", "\u{7f}")])), r#"{"A\\n": "\\x7f"}"#);
}

/// Against a plain list, across the size from which on names are hashed.
#[test]
fn any_sequence_of_changes_leaves_what_a_list_would_hold() {
    let mut random = Random(42);
    for names in [3, 60, 70, 300] {
        let mut params = Params::new();
        let mut list: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for _ in 0..2000 {
            let name = format!("NAME_{}", random.below(names)).into_bytes();
            let at = list.iter().position(|(known, _)| *known == name);
            if random.below(3) == 0 {
                assert_eq!(params.remove(&name), at.is_some());
                at.map(|at| list.remove(at));
            } else {
                let len = random.below(5);
                let value = random.bytes(len);
                params.set(&name, &value);
                match at {
                    Some(at) => list[at].1 = value,
                    None => list.push((name, value)),
                }
            }
            assert!(params.iter().eq(list.iter().map(|(name, value)| (&name[..], &value[..]))));
        }
        check(&params);
        check(&params.clone());
    }
}
