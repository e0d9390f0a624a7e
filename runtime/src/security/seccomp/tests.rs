use super::*;

fn profile(json: serde_json::Value) -> LinuxSeccomp {
    serde_json::from_value(json).unwrap()
}

fn wrong(json: serde_json::Value) -> Vec<String> {
    compile(&profile(json)).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let errors = wrong(serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1, "listenerPath": "/x", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "syscalls": [
            {"names": [], "action": "SCMP_ACT_ERRNO"},
            {"names": ["read"], "action": "SCMP_ACT_NOTIFY"},
            {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096},
            {"names": ["read"], "action": "SCMP_ACT_KILL", "errnoRet": 1},
            {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [
                {"index": 6, "value": 0, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 0, "valueTwo": 1, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"},
            ]},
        ],
    }));
    let named = [
        "linux.seccomp.flags",
        "linux.seccomp.listenerPath",
        "linux.seccomp.defaultErrnoRet",
        "linux.seccomp.syscalls[0].names",
        "linux.seccomp.syscalls[1].action",
        "linux.seccomp.syscalls[2].errnoRet",
        "linux.seccomp.syscalls[3].errnoRet",
        "linux.seccomp.syscalls[4].args[0].index",
        "linux.seccomp.syscalls[4].args[1].valueTwo",
        "linux.seccomp.syscalls[4].args[2].valueTwo",
    ];
    assert_eq!(errors.len(), named.len(), "{errors:#?}");
    for (error, field) in errors.iter().zip(named) {
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn names_that_nobody_knows_are_skipped_unless_there_are_no_others() {
    let unknown = serde_json::json!({"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"});
    let known = serde_json::json!({"names": ["reboot"], "action": "SCMP_ACT_ERRNO"});
    let with = |syscalls| serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": syscalls});
    assert_eq!(
        compile(&profile(with(serde_json::json!([unknown, known])))),
        compile(&profile(with(serde_json::json!([known]))))
    );
    assert_eq!(compile(&profile(with(serde_json::json!([unknown])))), Err(vec![ProfileError::NothingKnown]));
    assert!(compile(&profile(with(serde_json::json!([])))).is_ok());
    let nothing = profile(serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO"}));
    assert_eq!(compile(&nothing), Err(vec![ProfileError::NothingKnown]));
}

#[test]
fn what_is_too_much_is_refused_before_it_costs_anything() {
    let rule = |names: usize, args: usize| {
        let arg = serde_json::json!({"index": 0, "value": 1, "op": "SCMP_CMP_EQ"});
        serde_json::json!({"names": vec!["read"; names], "action": "SCMP_ACT_ERRNO", "args": vec![arg; args]})
    };
    let with = |rules| profile(serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    let refused = |rules| compile(&with(rules)).unwrap_err();
    assert_eq!(refused(vec![rule(1, 0); MAX_RULES + 1]), [ProfileError::TooManyRules(MAX_RULES + 1)]);
    assert_eq!(
        refused(vec![rule(MAX_NAMES / 2, 0), rule(MAX_NAMES, 0)]),
        [ProfileError::TooManyNames(MAX_NAMES * 3 / 2)]
    );
    let at = "linux.seccomp.syscalls[0]".to_owned();
    assert_eq!(refused(vec![rule(1, 65)]), [ProfileError::TooManyConditions { at, count: 65 }]);
    assert_eq!(refused(vec![rule(1, 64); 20]), [ProfileError::TooLong]);
    assert!(compile(&with(vec![rule(1, 64); 10])).is_ok());
}
