//! Rights of users at a broker, by the wire protocol: the client has no call for them.

use std::io::{Read, Write};
use std::net::TcpStream;

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

/// Version 1 of the request CreateAcls: the last one with plain lengths.
const CREATE_ACLS: (i16, i16) = (30, 1);
const LITERAL: u8 = 3;
const ALLOW: u8 = 3;

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend(text.as_bytes());
}

impl Kafka {
    /// Lets a user do something with the resource of a name, or with all of them: `*`. Blocks.
    pub(crate) fn allow(&self, user: &str, resource: Resource, name: &str, operations: &[Operation]) {
        let mut request = Vec::new();
        request.extend(CREATE_ACLS.0.to_be_bytes());
        request.extend(CREATE_ACLS.1.to_be_bytes());
        request.extend(7i32.to_be_bytes());
        text(&mut request, "qicore-tests");
        request.extend(i32::try_from(operations.len()).unwrap().to_be_bytes());
        for operation in operations {
            request.push(resource as u8);
            text(&mut request, name);
            request.push(LITERAL);
            text(&mut request, &format!("User:{user}"));
            text(&mut request, "*");
            request.extend([*operation as u8, ALLOW]);
        }
        let mut broker = TcpStream::connect(&self.brokers).unwrap();
        broker
            .write_all(&i32::try_from(request.len()).unwrap().to_be_bytes())
            .unwrap();
        broker.write_all(&request).unwrap();
        let mut length = [0; 4];
        broker.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        broker.read_exact(&mut answer).unwrap();
        // The request's number, the throttling, the number of results, and of each a code and a text, which is empty.
        let results = &answer[12..];
        assert_eq!(
            results.len(),
            4 * operations.len(),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert!(results.chunks(4).all(|result| result == [0, 0, 0, 0]), "{results:?}");
    }
}
