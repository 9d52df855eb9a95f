//! Messages as events.

use std::sync::Arc;

use qicore_data::{Decoded, Decoder, Error, Event, Frame, Lane, Result};
use qicore_stores::messages::{Encoding, VERSION};

/// The form of a message as its frame's `channel`; `None` for the ordinary one, JSON of version 1, so that most frames carry
/// none.
#[derive(Debug, Default)]
pub(super) struct Forms(Vec<Form>);

#[derive(Debug)]
struct Form {
    content_type: Option<Box<[u8]>>,
    version: Option<Box<[u8]>>,
    name: Option<Arc<str>>,
}

impl Forms {
    pub(super) fn name(&mut self, content_type: Option<&[u8]>, version: Option<&[u8]>) -> Option<Arc<str>> {
        let same = |form: &&Form| form.content_type.as_deref() == content_type && form.version.as_deref() == version;
        if let Some(known) = self.0.iter().find(same) {
            return known.name.clone();
        }
        let name = name(content_type, version);
        // A producer that makes up forms is not to fill the memory.
        if self.0.len() < 16 {
            self.0.push(Form {
                content_type: content_type.map(Into::into),
                version: version.map(Into::into),
                name: name.clone(),
            });
        }
        name
    }
}

fn name(content_type: Option<&[u8]>, version: Option<&[u8]>) -> Option<Arc<str>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ordinary = Encoding::default().content_type();
    let content_type = content_type.map_or(ordinary.to_owned(), text);
    let version = version.map_or(VERSION.to_string(), text);
    let is_ordinary = content_type == ordinary && version == VERSION.to_string();
    (!is_ordinary).then(|| format!("{content_type};version={version}").into())
}

/// What a form's name says.
fn form(name: &str) -> Result<Encoding> {
    let (content_type, version) = name.rsplit_once(";version=").unwrap_or((name, ""));
    match version.parse::<u32>() {
        Ok(version) if version <= VERSION && version > 0 => {}
        Ok(version) if version > VERSION => {
            let message = format!("schema-version {version} is newer than {VERSION}, the newest that is known here");
            return Err(Error::decode("kafka.decode", message).with("advice", "update the program, then replay"));
        }
        _ => {
            return Err(Error::decode(
                "kafka.decode",
                format!("schema-version {version:?} is no version"),
            ));
        }
    }
    Encoding::from_content_type(content_type)
        .ok_or_else(|| Error::decode("kafka.decode", format!("content-type {content_type:?} is not known")))
}

/// Decodes the messages of one partition.
pub(super) struct Messages {
    lane: Lane,
    /// The form of the message before: most have the same.
    last: Option<(Arc<str>, Encoding)>,
}

impl Messages {
    pub(super) fn new(lane: &Lane) -> Self {
        Self {
            lane: lane.clone(),
            last: None,
        }
    }

    fn encoding(&mut self, frame: &Frame) -> Result<Encoding> {
        let Some(name) = &frame.channel else {
            return Ok(Encoding::default());
        };
        match &self.last {
            Some((last, encoding)) if Arc::ptr_eq(last, name) => Ok(*encoding),
            _ => {
                let encoding = form(name)?;
                self.last = Some((Arc::clone(name), encoding));
                Ok(encoding)
            }
        }
    }
}

impl Decoder for Messages {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let event = self
            .encoding(frame)
            .and_then(|encoding| encoding.decode(&frame.payload));
        let event = event.map_err(|error| {
            // A lane's offset is that of the next message, as a group commits it.
            let (topic, partition) = self.lane.as_str().rsplit_once('/').unwrap_or((self.lane.as_str(), ""));
            let error = error.with("topic", topic).with("partition", partition);
            error.with("message_offset", frame.offset.saturating_sub(1))
        })?;
        out.push(event);
        Ok(Decoded::Data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let mut forms = Forms::default();
        assert_eq!(forms.name(None, None), None);
        assert_eq!(forms.name(Some(b"application/json"), Some(b"1")), None);
        let newer = forms.name(Some(b"application/json"), Some(b"2")).unwrap();
        assert!(form(&newer).unwrap_err().message().contains("newer"));
        assert!(Arc::ptr_eq(
            &newer,
            &forms.name(Some(b"application/json"), Some(b"2")).unwrap()
        ));
        for (content_type, version) in [("text/csv", "1"), ("application/json", "x"), ("application/json", "0")] {
            let odd = forms
                .name(Some(content_type.as_bytes()), Some(version.as_bytes()))
                .unwrap();
            assert!(form(&odd).is_err(), "{odd}");
        }
    }
}
