//! QiCore stream.
