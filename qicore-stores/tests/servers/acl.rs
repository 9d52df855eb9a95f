//! Rights of users at a broker, by the wire protocol: the client has no call for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Kafka;

/// What a right is about; the discriminants are the protocol's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resource {
    Topic = 2,
    Group = 3,
    TransactionalId = 5,
}

/// What a user may do; the discriminants are the protocol's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Read = 3,
    Write = 4,
    Describe = 8,
    DescribeConfigs = 10,
}

/// Requests by their numbers and versions: the last ones with plain lengths.
const CREATE_ACLS: (i16, i16) = (30, 1);
const DESCRIBE_ACLS: (i16, i16) = (29, 1);
const LITERAL: u8 = 3;
const ALLOW: u8 = 3;

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend(text.as_bytes());
}

impl Kafka {
    /// Lets a user do something with the resource of a name, or with all of them: `*`. Waits until the broker goes by it. Blocks.
    pub(crate) fn allow(&self, user: &str, resource: Resource, name: &str, operations: &[Operation]) {
        let principal = format!("User:{user}");
        for operation in operations {
            let mut creation = 1i32.to_be_bytes().to_vec();
            let mut filter = Vec::new();
            for bytes in [&mut creation, &mut filter] {
                bytes.push(resource as u8);
                text(bytes, name);
                bytes.push(LITERAL);
                text(bytes, &principal);
                text(bytes, "*");
                bytes.extend([*operation as u8, ALLOW]);
            }
            // The throttling, the number of results, and of one a code and a text.
            let made = self.ask(CREATE_ACLS, &creation);
            assert_eq!(made[8..10], [0, 0], "{}", String::from_utf8_lossy(&made));
            let until = Instant::now() + super::kafka::PATIENCE;
            // The throttling, a code, a text, which is empty, and the number of resources.
            while self.ask(DESCRIBE_ACLS, &filter)[8..12] == [0; 4] {
                assert!(Instant::now() < until, "{operation:?} is not allowed");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Sends a request and gives the answer, without its number.
    fn ask(&self, (key, version): (i16, i16), body: &[u8]) -> Vec<u8> {
        let mut request = Vec::new();
        request.extend(key.to_be_bytes());
        request.extend(version.to_be_bytes());
        request.extend(7i32.to_be_bytes());
        text(&mut request, "qicore-tests");
        request.extend(body);
        let mut broker = TcpStream::connect(&self.brokers).unwrap();
        broker
            .write_all(&i32::try_from(request.len()).unwrap().to_be_bytes())
            .unwrap();
        broker.write_all(&request).unwrap();
        let mut length = [0; 4];
        broker.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        broker.read_exact(&mut answer).unwrap();
        answer.split_off(4)
    }
}
