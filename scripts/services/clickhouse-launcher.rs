//! Runs the program that ClickHouse calls `clickhouse local` out of chDB's library, with this program's arguments.
//!
//! `QICORE_CHDB=…/libchdb.so launcher --path DATA --http_port 8123 …`. The server ends when its query does.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::process::ExitCode;

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

const RTLD_NOW: c_int = 2;

/// chDB's `local_result_v2`.
#[repr(C)]
struct Answer {
    text: *const u8,
    length: usize,
    _owner: *mut c_void,
    _seconds: f64,
    _rows: u64,
    _bytes: u64,
    error: *const c_char,
}

type Run = extern "C" fn(c_int, *mut *mut c_char) -> *const Answer;

fn main() -> ExitCode {
    let Ok(path) = std::env::var("QICORE_CHDB") else {
        eprintln!("QICORE_CHDB names no library");
        return ExitCode::from(2);
    };
    let given = std::env::args().skip(1);
    let arguments = std::iter::once("clickhouse-local".to_owned()).chain(given);
    let arguments: Vec<CString> = arguments.map(|text| CString::new(text).expect("no NUL in an argument")).collect();
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
    let count = pointers.len() as c_int;
    pointers.push(std::ptr::null_mut());
    let path = CString::new(path).expect("no NUL in a path");
    // SAFETY: the library is chDB's, whose `query_stable_v2` has this signature; all that it is given lives as long as it
    // runs.
    unsafe {
        let library = dlopen(path.as_ptr(), RTLD_NOW);
        if library.is_null() {
            eprintln!("{}", CStr::from_ptr(dlerror()).to_string_lossy());
            return ExitCode::from(2);
        }
        let run = dlsym(library, c"query_stable_v2".as_ptr());
        assert!(!run.is_null(), "the library has no query_stable_v2");
        let run: Run = std::mem::transmute(run);
        let answer = run(count, pointers.as_mut_ptr());
        if answer.is_null() {
            return ExitCode::from(3);
        }
        let answer = &*answer;
        if !answer.error.is_null() {
            eprintln!("{}", CStr::from_ptr(answer.error).to_string_lossy());
            return ExitCode::FAILURE;
        }
        if answer.length > 0 {
            let text = std::slice::from_raw_parts(answer.text, answer.length);
            println!("{}", String::from_utf8_lossy(text));
        }
    }
    ExitCode::SUCCESS
}
