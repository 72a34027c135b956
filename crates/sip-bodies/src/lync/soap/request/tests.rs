use super::super::ENVELOPE;
use super::*;

fn request(body: &str) -> Result<SoapRequest, BodyError> {
    let document = format!(
        "<s:Envelope xmlns:s='{ENVELOPE}' xmlns:m='{METHODS}'><s:Header><m:addGroup/></s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>"
    );
    SoapRequest::parse(document.as_bytes())
}

#[test]
fn a_contact_is_set_and_forgotten() {
    let set = request(
        "<m:setContact><m:displayName>Bob &amp; Co</m:displayName><m:groups>1 2</m:groups>\
         <m:subscribed>true</m:subscribed><m:URI>sip:bob@example.test</m:URI><m:externalURI />\
         <m:new><m:URI>no</m:URI></m:new><URI>no</URI><m:deltaNum>7</m:deltaNum></m:setContact>",
    );
    let operation = ContactOperation::SetContact {
        address: "bob@example.test".to_owned(),
        display_name: "Bob & Co".to_owned(),
        groups: vec![1, 2],
        subscribed: true,
        external_uri: String::new(),
    };
    let delta_number = 7;
    assert_eq!(
        set,
        Ok(SoapRequest::Contacts {
            delta_number,
            operation
        })
    );
    let deleted = request(
        "<m:deleteContact><m:URI>SIP:bob@example.test</m:URI><m:deltaNum>7</m:deltaNum></m:deleteContact>",
    );
    let operation = ContactOperation::DeleteContact {
        address: "bob@example.test".to_owned(),
    };
    assert_eq!(
        deleted,
        Ok(SoapRequest::Contacts {
            delta_number,
            operation
        })
    );
}

#[test]
fn groups_come_change_and_go() {
    for (body, expected) in [
        (
            "<m:addGroup><m:name>Friends</m:name><m:externalURI/><m:deltaNum>1</m:deltaNum></m:addGroup>",
            ContactOperation::AddGroup {
                name: "Friends".to_owned(),
                external_uri: String::new(),
            },
        ),
        (
            "<m:modifyGroup><m:groupID>2</m:groupID><m:name>F</m:name><m:externalURI>x</m:externalURI>\
             <m:deltaNum>1</m:deltaNum></m:modifyGroup>",
            ContactOperation::ModifyGroup {
                group_id: 2,
                name: "F".to_owned(),
                external_uri: "x".to_owned(),
            },
        ),
        (
            "<m:deleteGroup><m:groupID>2</m:groupID><m:deltaNum>1</m:deltaNum></m:deleteGroup>",
            ContactOperation::DeleteGroup { group_id: 2 },
        ),
    ] {
        let expected = SoapRequest::Contacts {
            delta_number: 1,
            operation: expected,
        };
        assert_eq!(request(body), Ok(expected), "{body}");
    }
}

#[test]
fn a_search_finds_its_terms_with_or_without_prefix() {
    let search = request(
        "<m:directorySearch><m:filter m:href=\"#searchArray\"/><m:maxResults>100</m:maxResults>\
         </m:directorySearch><m:Array m:id=\"other\"><m:row m:attrib=\"x\"/></m:Array>\
         <m:Array m:id=\"searchArray\"><m:row m:attrib=\"givenName\" m:value=\"B&lt;b\"/>\
         <m:row attrib=\"sn\" value=\"T\"/><row/></m:Array>",
    );
    let term = |attribute: &str, value: &str| SearchTerm {
        attribute: attribute.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(
        search,
        Ok(SoapRequest::DirectorySearch {
            max_results: Some(100),
            terms: vec![term("givenName", "B<b"), term("sn", "T")],
        })
    );
}

#[test]
fn another_operation_is_named() {
    for body in [
        "<m:setPresence><m:presentity/></m:setPresence>",
        "<m:getPresence/>",
        "<addGroup/>",
    ] {
        assert!(matches!(request(body), Ok(SoapRequest::Unknown(_))), "{body}");
    }
    assert_eq!(
        request("<m:setPresence/>"),
        Ok(SoapRequest::Unknown("setPresence".to_owned()))
    );
    assert!(request(&format!("<m:{}/>", "x".repeat(OPERATION_BYTES))).is_ok());
    let outcome = request(&format!("<m:{}/>", "x".repeat(OPERATION_BYTES + 1)));
    assert!(matches!(outcome, Err(BodyError::Limit(_))));
}

#[test]
fn what_can_not_be_understood_is_malformed() {
    for body in [
        "",
        "<m:1/>",
        "<m:addGroup><m:deltaNum>1</m:deltaNum></m:addGroup>",
        "<m:addGroup><m:name>F</m:name></m:addGroup>",
        "<m:addGroup><m:name>F</m:name><m:deltaNum>-1</m:deltaNum></m:addGroup>",
        "<m:modifyGroup><m:name>F</m:name><m:deltaNum>1</m:deltaNum></m:modifyGroup>",
        "<m:deleteGroup><m:groupID>x</m:groupID><m:deltaNum>1</m:deltaNum></m:deleteGroup>",
        "<m:setContact><m:URI>sip:</m:URI><m:deltaNum>1</m:deltaNum></m:setContact>",
        "<m:setContact><m:URI>a@b</m:URI><m:groups>a</m:groups><m:deltaNum>1</m:deltaNum></m:setContact>",
        "<m:deleteContact><m:deltaNum>1</m:deltaNum></m:deleteContact>",
        "<m:directorySearch/>",
        "<m:directorySearch><m:filter href='#a'/></m:directorySearch><m:Array id='b'/>",
        "<m:directorySearch><m:filter href='#a'/></m:directorySearch><m:Array id='a'><m:row/></m:Array>",
        "<m:directorySearch><m:maxResults>many</m:maxResults></m:directorySearch>",
    ] {
        assert!(matches!(request(body), Err(BodyError::Malformed(_))), "{body}");
    }
    assert!(matches!(
        SoapRequest::parse(b"<Envelope/>"),
        Err(BodyError::Unsupported(_))
    ));
    let without_body = format!("<s:Envelope xmlns:s='{ENVELOPE}'/>");
    assert!(matches!(
        SoapRequest::parse(without_body.as_bytes()),
        Err(BodyError::Malformed(_))
    ));
}

#[test]
fn the_limit_holds_at_its_value_and_one_above() {
    let terms = |count: usize| {
        let list = "<m:row attrib='a'/>".repeat(count);
        request(&format!(
            "<m:directorySearch><m:filter href='#a'/></m:directorySearch><m:Array id='a'>{list}</m:Array>"
        ))
    };
    assert!(terms(ROWS).is_ok());
    assert!(matches!(terms(ROWS + 1), Err(BodyError::Limit(_))));
}
