//! [`Device`] and [`Services`]: what an endpoint can do, and what the user can do with all of them together.

use super::{boolean, some_text};
use crate::BodyError;
use crate::fragment::{Fragment, Keeper};
use crate::xml::{Element, XmlReader, XmlWriter};

/// Most services of one user. Answer: 400.
pub const SERVICES: usize = 32;

const DEVICE: &str = "http://schemas.microsoft.com/2006/09/sip/device";
const SERVICE: &str = "http://schemas.microsoft.com/2006/09/sip/service";

/// One `device` element: a signed-in endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// Which endpoint, a GUID.
    pub endpoint_id: Option<String>,
    /// Whether the user prefers it, as its capabilities say.
    pub preferred: bool,
    /// What it can do, kept whole.
    pub capabilities: Option<Fragment>,
    /// Its time zone, an XML Schema `time`.
    pub timezone: Option<String>,
    /// Its name.
    pub machine_name: Option<String>,
}

impl Device {
    /// Reads the element as a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if it is not `device`, else what [`XmlReader::next`] and [`Fragment::parse`]
    /// refuse.
    pub fn parse(document: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(document)?;
        let root = reader.root()?;
        if !root.is(DEVICE, "device") {
            return Err(BodyError::Unsupported("not a device"));
        }
        let mut device = Self {
            endpoint_id: root.attribute("endpointId")?,
            ..Self::default()
        };
        while let Some(element) = reader.child()? {
            if element.is(DEVICE, "capabilities") {
                device.preferred = element.attribute("preferred")?.is_some_and(|text| boolean(&text));
                let keeper = Keeper::start(&element)?;
                device.capabilities = Some(keeper.read(&mut reader)?);
            } else if element.is(DEVICE, "timezone") {
                device.timezone = some_text(&reader.text_of_element()?);
            } else if element.is(DEVICE, "machineName") {
                device.machine_name = some_text(&reader.text_of_element()?);
            } else {
                reader.skip_element()?;
            }
        }
        reader.finish()?;
        Ok(device)
    }

    /// Writes the element. `preferred` is written as the kept capabilities say it.
    pub fn print(&self) -> Fragment {
        let mut writer = XmlWriter::new("device", DEVICE);
        writer.attribute_if("endpointId", self.endpoint_id.as_deref());
        if let Some(capabilities) = &self.capabilities {
            writer.fragment(capabilities);
        }
        writer
            .leaf_if("timezone", self.timezone.as_deref())
            .leaf_if("machineName", self.machine_name.as_deref());
        Fragment::printed(writer)
    }
}

/// One service of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Its address.
    pub uri: Option<String>,
    /// What it can do, kept whole.
    pub capabilities: Option<Fragment>,
}

/// One `services` element: what the user can do, whatever the endpoint. None at all shows a watcher nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Services {
    /// Usually one.
    pub services: Vec<Service>,
}

impl Services {
    /// Reads the element as a document.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] if it is not `services`, [`BodyError::Limit`] beyond [`SERVICES`], else what
    /// [`XmlReader::next`] and [`Fragment::parse`] refuse.
    pub fn parse(document: &[u8]) -> Result<Self, BodyError> {
        let mut reader = XmlReader::new(document)?;
        if !reader.root()?.is(SERVICE, "services") {
            return Err(BodyError::Unsupported("not a services element"));
        }
        let mut services = Self::default();
        while let Some(element) = reader.child()? {
            if !element.is(SERVICE, "service") {
                reader.skip_element()?;
                continue;
            }
            if services.services.len() >= SERVICES {
                return Err(BodyError::Limit("services"));
            }
            let mut service = Service::read_start(&element)?;
            while let Some(element) = reader.child()? {
                if element.is(SERVICE, "capabilities") {
                    let keeper = Keeper::start(&element)?;
                    service.capabilities = Some(keeper.read(&mut reader)?);
                } else {
                    reader.skip_element()?;
                }
            }
            services.services.push(service);
        }
        reader.finish()?;
        Ok(services)
    }

    /// Writes the element.
    pub fn print(&self) -> Fragment {
        let mut writer = XmlWriter::new("services", SERVICE);
        for service in &self.services {
            writer.open("service").attribute_if("uri", service.uri.as_deref());
            if let Some(capabilities) = &service.capabilities {
                writer.fragment(capabilities);
            }
            writer.close();
        }
        Fragment::printed(writer)
    }
}

impl Service {
    fn read_start(element: &Element<'_, '_>) -> Result<Self, BodyError> {
        Ok(Self {
            uri: element.attribute("uri")?,
            capabilities: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_in_the_shape_sipe_sends_is_read_and_its_capabilities_are_kept() {
        let document = format!(
            "<device xmlns='{DEVICE}' endpointId='C707E38E-1E10-5413-94D9-ECAC260A0269'>\
             <capabilities preferred='true' uri='sip:alice@example.test'><text capture='true' render='true'/>\
             </capabilities><timezone>00:00:00+01:00</timezone><machineName>desk</machineName><new/></device>"
        );
        let device = Device::parse(document.as_bytes()).unwrap();
        assert_eq!(
            device.endpoint_id.as_deref(),
            Some("C707E38E-1E10-5413-94D9-ECAC260A0269")
        );
        assert!(device.preferred);
        assert_eq!(
            device.capabilities.as_ref().map(Fragment::as_str),
            Some(
                "<capabilities xmlns=\"http://schemas.microsoft.com/2006/09/sip/device\" preferred=\"true\" \
                 uri=\"sip:alice@example.test\"><text capture=\"true\" render=\"true\"/></capabilities>"
            )
        );
        assert_eq!(device.machine_name.as_deref(), Some("desk"));
        assert_eq!(Device::parse(device.print().as_str().as_bytes()), Ok(device));
    }

    #[test]
    fn nothing_is_said_in_one_empty_element() {
        assert_eq!(
            Device::default().print().as_str(),
            "<device xmlns=\"http://schemas.microsoft.com/2006/09/sip/device\"/>"
        );
        assert_eq!(
            Services::default().print().as_str(),
            "<services xmlns=\"http://schemas.microsoft.com/2006/09/sip/service\"/>"
        );
    }

    #[test]
    fn services_are_read_and_written() {
        let document = format!(
            "<s:services xmlns:s='{SERVICE}'><s:service uri='sip:alice@example.test'><s:capabilities>\
             <s:text render='true'/></s:capabilities><s:new/></s:service><service/></s:services>"
        );
        let services = Services::parse(document.as_bytes()).unwrap();
        assert_eq!(services.services.len(), 1);
        assert_eq!(
            Services::parse(services.print().as_str().as_bytes()),
            Ok(services)
        );
    }

    #[test]
    fn other_documents_and_too_many_services_are_refused() {
        assert!(matches!(
            Device::parse(b"<device/>"),
            Err(BodyError::Unsupported(_))
        ));
        assert!(matches!(
            Services::parse(b"<services/>"),
            Err(BodyError::Unsupported(_))
        ));
        let many = |count: usize| {
            let list = "<service/>".repeat(count);
            Services::parse(format!("<services xmlns='{SERVICE}'>{list}</services>").as_bytes())
        };
        assert!(many(SERVICES).is_ok());
        assert!(matches!(many(SERVICES + 1), Err(BodyError::Limit(_))));
    }
}
