use super::*;

fn kind() -> PolicyKind {
    let setting = |key, rule| Setting {
        key,
        rule,
        description: "for the test",
    };
    PolicyKind {
        name: "sample",
        description: "for the test",
        settings: vec![
            setting("on", SettingRule::Switch { default: true }),
            setting(
                "low",
                SettingRule::Number {
                    default: 1,
                    min: 0,
                    max: 10,
                },
            ),
            setting(
                "high",
                SettingRule::Number {
                    default: 5,
                    min: 0,
                    max: 10,
                },
            ),
            setting(
                "mode",
                SettingRule::Choice {
                    default: "a",
                    choices: &["a", "b"],
                },
            ),
            setting(
                "note",
                SettingRule::Text {
                    default: "",
                    max_length: 3,
                },
            ),
        ],
        check: Some(|values| match (values.get("low"), values.get("high")) {
            (Some(PolicyValue::Number(low)), Some(PolicyValue::Number(high))) if low > high => {
                Err("low must not be above high".to_owned())
            }
            _ => Ok(()),
        }),
    }
}

fn written(key: &str, text: &str) -> BTreeMap<String, String> {
    [(key.to_owned(), text.to_owned())].into()
}

#[test]
fn what_an_operator_writes_is_read_by_the_settings_type() {
    let rows = [
        ("on", "false", Some(PolicyValue::Bool(false))),
        ("on", " true ", Some(PolicyValue::Bool(true))),
        ("on", "1", None),
        ("on", "TRUE", None),
        ("low", "0", Some(PolicyValue::Number(0))),
        ("low", "10", Some(PolicyValue::Number(10))),
        ("low", "11", None),
        ("low", "-1", None),
        ("low", "1.5", None),
        ("low", "99999999999999999999", None),
        ("mode", "b", Some(PolicyValue::Text("b".into()))),
        ("mode", "c", None),
        ("note", "äöü", Some(PolicyValue::Text("äöü".into()))),
        ("note", "four", None),
        ("note", "a\nb", None),
    ];
    for (key, text, expected) in rows {
        let read = kind()
            .parse(&written(key, text))
            .ok()
            .and_then(|mut values| values.remove(key));
        assert_eq!(read, expected, "{key} = {text:?}");
    }
}

#[test]
fn an_error_names_the_setting_and_what_is_allowed() {
    let error = |key, text| kind().parse(&written(key, text)).unwrap_err();
    assert_eq!(
        error("low", "11"),
        "setting `low` of policy kind sample must be a whole number from 0 to 10, not `11`"
    );
    assert_eq!(
        error("mode", "c\r\n"),
        "setting `mode` of policy kind sample must be one of a, b, not `c`"
    );
    assert_eq!(
        error("on", ""),
        "setting `on` of policy kind sample must be true or false, not ``"
    );
    assert_eq!(
        error("note", "four"),
        "setting `note` of policy kind sample must be text of at most 3 characters, not `four`"
    );
    assert_eq!(
        error("colour", "red"),
        "policy kind sample has no setting `colour`; it has on, low, high, mode, note"
    );
}

#[test]
fn a_rule_between_settings_counts_defaults_in() {
    let low = [("low".to_owned(), PolicyValue::Number(6))].into();
    assert_eq!(
        kind().check(&low).unwrap_err(),
        "policy kind sample: low must not be above high"
    );
    let both = [
        ("low".to_owned(), PolicyValue::Number(6)),
        ("high".to_owned(), PolicyValue::Number(6)),
    ]
    .into();
    kind().check(&both).unwrap();
}

#[test]
fn stored_values_the_kind_no_longer_admits_count_as_not_made() {
    let stored = [
        ("low".to_owned(), PolicyValue::Number(99)),
        ("on".to_owned(), PolicyValue::Text("false".into())),
        ("gone".to_owned(), PolicyValue::Bool(true)),
        ("mode".to_owned(), PolicyValue::Text("b".into())),
    ]
    .into();
    let mut expected = kind().defaults();
    expected.insert("mode".into(), PolicyValue::Text("b".into()));
    assert_eq!(kind().complete(&stored), expected);
}

#[test]
fn a_kind_that_contradicts_itself_is_found_at_start() {
    let mut kinds = PolicyKinds::new();
    kinds.register(kind()).unwrap();
    assert_eq!(kinds.register(kind()), Err(RegisterKindError::Twice("sample")));

    let mut twice = kind();
    twice.settings.push(twice.settings[0].clone());
    assert_eq!(
        PolicyKinds::new().register(twice),
        Err(RegisterKindError::SettingTwice("sample", "on"))
    );

    let mut outside = kind();
    outside.settings[1].rule = SettingRule::Number {
        default: 11,
        min: 0,
        max: 10,
    };
    assert_eq!(
        PolicyKinds::new().register(outside),
        Err(RegisterKindError::Default("sample"))
    );

    let mut crossed = kind();
    crossed.settings[1].rule = SettingRule::Number {
        default: 9,
        min: 0,
        max: 10,
    };
    assert_eq!(
        PolicyKinds::new().register(crossed),
        Err(RegisterKindError::Default("sample"))
    );
}
