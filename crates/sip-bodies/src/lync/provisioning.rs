//! [`ProvisioningQuestion`] and [`ProvisioningAnswer`]: settings a client asks for when it signs in,
//! `application/vnd-microsoft-roaming-provisioning-v2+xml`.

use bytes::Bytes;

use crate::BodyError;
use crate::xml::{XmlReader, XmlWriter, is_ncname};

/// The content type of question and answer.
pub const CONTENT_TYPE: &str = "application/vnd-microsoft-roaming-provisioning-v2+xml";

/// Most groups of one document. Answer: 400.
pub const GROUPS: usize = 64;
/// Most settings of one group. Answer: 400.
pub const SETTINGS: usize = 256;

const QUESTION: &str = "http://schemas.microsoft.com/2006/09/sip/provisioninggrouplist";
const ANSWER: &str = "http://schemas.microsoft.com/2006/09/sip/provisiongrouplist-notification";

/// Which groups of settings a client wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvisioningQuestion {
    /// Their names: `ServerConfiguration`, `meetingPolicy`, `ucPolicy`, ...
    pub groups: Vec<String>,
}

impl ProvisioningQuestion {
    /// Reads a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `provisioningGroupList`, [`BodyError::Malformed`] if a name is
    /// missing, [`BodyError::Limit`] beyond [`GROUPS`], else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        if !reader.root()?.is(QUESTION, "provisioningGroupList") {
            return Err(BodyError::Unsupported("not a provisioningGroupList document"));
        }
        let mut groups = Vec::new();
        while let Some(element) = reader.child()? {
            if element.is(QUESTION, "provisioningGroup") {
                if groups.len() >= GROUPS {
                    return Err(BodyError::Limit("provisioning groups"));
                }
                let name = element.attribute("name")?;
                groups.push(name.ok_or(BodyError::Malformed("provisioningGroup without name"))?);
            }
            reader.skip_element()?;
        }
        reader.finish()?;
        Ok(Self { groups })
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("provisioningGroupList", QUESTION);
        for name in &self.groups {
            writer.open("provisioningGroup").attribute("name", name).close();
        }
        Bytes::from(writer.finish())
    }
}

/// A group of settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvisionGroup {
    name: String,
    settings: Vec<(String, String)>,
}

impl ProvisionGroup {
    /// A group without settings.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            settings: Vec::new(),
        }
    }

    /// Adds a setting.
    ///
    /// # Errors
    /// [`BodyError::Malformed`] if the name can not be the name of an element, [`BodyError::Limit`] beyond [`SETTINGS`].
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), BodyError> {
        let name = name.into();
        if !is_ncname(&name) {
            return Err(BodyError::Malformed("name of a setting"));
        }
        if self.settings.len() >= SETTINGS {
            return Err(BodyError::Limit("settings of a provisioning group"));
        }
        self.settings.push((name, value.into()));
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of the first setting of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(candidate, _)| candidate == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The settings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProvisioningAnswer {
    /// Group by group.
    pub groups: Vec<ProvisionGroup>,
}

impl ProvisioningAnswer {
    /// Reads a document. Of a setting that is more than a text, the text directly in it is read.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if the root is not `provisionGroupList`, [`BodyError::Malformed`] if a name is missing
    /// or wrong, [`BodyError::Limit`] beyond [`GROUPS`] or [`SETTINGS`], else what [`XmlReader::next`] refuses.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(body)?;
        if !reader.root()?.is(ANSWER, "provisionGroupList") {
            return Err(BodyError::Unsupported("not a provisionGroupList document"));
        }
        let mut answer = Self::default();
        while let Some(element) = reader.child()? {
            if !element.is(ANSWER, "provisionGroup") {
                reader.skip_element()?;
                continue;
            }
            if answer.groups.len() >= GROUPS {
                return Err(BodyError::Limit("provisioning groups"));
            }
            let name = element.attribute("name")?;
            let name = name.ok_or(BodyError::Malformed("provisionGroup without name"))?;
            let mut group = ProvisionGroup::new(name);
            while let Some(element) = reader.child()? {
                let ours = element.namespace() == Some(ANSWER);
                let name = element.local_name().to_owned();
                let value = reader.text_of_element()?;
                if ours {
                    group.set(name, value)?;
                }
            }
            answer.groups.push(group);
        }
        reader.finish()?;
        Ok(answer)
    }

    /// Writes the document.
    pub fn print(&self) -> Bytes {
        let mut writer = XmlWriter::new("provisionGroupList", ANSWER);
        for group in &self.groups {
            writer.open("provisionGroup").attribute("name", &group.name);
            for (name, value) in &group.settings {
                writer.leaf(name, value);
            }
            writer.close();
        }
        Bytes::from(writer.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_in_the_shape_sipe_sends_is_read() {
        let question = ProvisioningQuestion::parse(
            b"<provisioningGroupList xmlns=\"http://schemas.microsoft.com/2006/09/sip/provisioninggrouplist\"> \
              <provisioningGroup name=\"ServerConfiguration\"/><provisioningGroup name=\"ucPolicy\"/><new/>\
              </provisioningGroupList>",
        );
        assert_eq!(question.unwrap().groups, ["ServerConfiguration", "ucPolicy"]);
    }

    #[test]
    fn settings_are_printed_as_clients_read_them() {
        let mut group = ProvisionGroup::new("ServerConfiguration");
        group
            .set(
                "focusFactoryUri",
                "sip:alice@example.test;gruu;opaque=app:conf:focusfactory",
            )
            .unwrap();
        group.set("ucPortRangeEnabled", "false").unwrap();
        let answer = ProvisioningAnswer {
            groups: vec![group, ProvisionGroup::new("ucPolicy")],
        };
        assert_eq!(
            answer.print(),
            "<provisionGroupList xmlns=\"http://schemas.microsoft.com/2006/09/sip/provisiongrouplist-notification\">\
             <provisionGroup name=\"ServerConfiguration\">\
             <focusFactoryUri>sip:alice@example.test;gruu;opaque=app:conf:focusfactory</focusFactoryUri>\
             <ucPortRangeEnabled>false</ucPortRangeEnabled></provisionGroup><provisionGroup name=\"ucPolicy\"/>\
             </provisionGroupList>"
        );
        assert_eq!(answer.groups[0].get("ucPortRangeEnabled"), Some("false"));
        assert_eq!(answer.groups[1].get("ucPortRangeEnabled"), None);
        assert_eq!(ProvisioningAnswer::parse(&answer.print()), Ok(answer));
    }

    #[test]
    fn a_setting_has_the_name_of_an_element() {
        let mut group = ProvisionGroup::new("a");
        for name in ["", "1", "a b", "a:b", "a>", "a/"] {
            assert!(
                matches!(group.set(name, ""), Err(BodyError::Malformed(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn every_limit_holds_at_its_value_and_one_above() {
        let question = |count: usize| {
            let list = "<provisioningGroup name='a'/>".repeat(count);
            let start = format!("<provisioningGroupList xmlns='{QUESTION}'>");
            ProvisioningQuestion::parse(format!("{start}{list}</provisioningGroupList>").as_bytes())
        };
        assert!(question(GROUPS).is_ok());
        assert!(matches!(question(GROUPS + 1), Err(BodyError::Limit(_))));
        let answer = |groups: usize, settings: usize| {
            let list = format!(
                "<provisionGroup name='a'>{}</provisionGroup>",
                "<b/>".repeat(settings)
            );
            let document = format!(
                "<provisionGroupList xmlns='{ANSWER}'>{}</provisionGroupList>",
                list.repeat(groups)
            );
            ProvisioningAnswer::parse(document.as_bytes())
        };
        assert!(answer(GROUPS, 0).is_ok());
        assert!(matches!(answer(GROUPS + 1, 0), Err(BodyError::Limit(_))));
        assert!(answer(1, SETTINGS).is_ok());
        assert!(matches!(answer(1, SETTINGS + 1), Err(BodyError::Limit(_))));
    }

    #[test]
    fn what_can_not_be_understood_is_refused() {
        let nameless =
            format!("<provisioningGroupList xmlns='{QUESTION}'><provisioningGroup/></provisioningGroupList>");
        assert!(matches!(
            ProvisioningQuestion::parse(nameless.as_bytes()),
            Err(BodyError::Malformed(_))
        ));
        let nameless = format!("<provisionGroupList xmlns='{ANSWER}'><provisionGroup/></provisionGroupList>");
        assert!(matches!(
            ProvisioningAnswer::parse(nameless.as_bytes()),
            Err(BodyError::Malformed(_))
        ));
        assert!(matches!(
            ProvisioningQuestion::parse(b"<a/>"),
            Err(BodyError::Unsupported(_))
        ));
        assert!(matches!(
            ProvisioningAnswer::parse(b"<a/>"),
            Err(BodyError::Unsupported(_))
        ));
    }
}
