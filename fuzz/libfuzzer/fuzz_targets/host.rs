#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (fuzz::TARGETS[2].run)(data));
