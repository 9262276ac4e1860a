use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use super::scene::{Scene, get, fields};
use proto::TunnelRequest;

#[test]
#[ignore]
fn speed() {
    let rounds: usize = std::env::var("ROUNDS").map_or(20000, |r| r.parse().unwrap());
    let conc: usize = std::env::var("CONC").map_or(32, |r| r.parse().unwrap());
    let size: usize = std::env::var("SIZE").map_or(100, |r| r.parse().unwrap());
    let std_l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = std_l.local_addr().unwrap();
    std_l.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let l = tokio::net::TcpListener::from_std(std_l).unwrap();
            loop {
                let (mut s, _) = l.accept().await.unwrap();
                s.set_nodelay(true).unwrap();
                tokio::spawn(async move {
                    let mut buf = vec![0; 16384];
                    let mut n = 0;
                    let answer = format!("HTTP/1.1 200 OK\r\nserver: nginx/1.24.0\r\ndate: Mon, 23 Nov 2026 15:00:00 GMT\r\ncontent-type: text/plain\r\nlast-modified: Mon, 23 Nov 2026 15:00:00 GMT\r\netag: \"abc\"\r\naccept-ranges: bytes\r\ncontent-length: {size}\r\n\r\n{}", "x".repeat(size));
                    loop {
                        let r = s.read(&mut buf[n..]).await.unwrap();
                        if r == 0 { return }
                        n += r;
                        while let Some(at) = memchr_end(&buf[..n]) {
                            buf.copy_within(at..n, 0); n -= at;
                            s.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut scene = Scene::over(listener, crate::Upstream { host: "127.0.0.1".into(), port: addr.port() }, 1 << 20);
        let req = || TunnelRequest { headers: fields(&[("user-agent", b"wrk/4.2"), ("accept", b"*/*"), ("accept-encoding", b"gzip, br"), ("cookie", b"a=b; c=d"), ("x-a", b"1"), ("x-b", b"2")]), client_addr: "127.0.0.1:4711".into(), ..get() };
        for pass in 0..3 {
            let cpu0 = cpu();
            let begun = Instant::now();
            let mut done = 0;
            while done < rounds {
                let ids: Vec<_> = (0..conc).map(|_| scene.ask(req())).collect();
                for id in ids { let r = scene.response(id).await; assert_eq!(r.body.len(), size); done += 1; }
                while scene.exchanges.try_join_next().is_some() {}
                scene.told.lock().unwrap().clear();
            }
            let (wall, cpu) = (begun.elapsed(), cpu() - cpu0);
            println!("pass {pass}: {:.2} us wall, {:.2} us cpu (this thread) per request", wall.as_secs_f64() * 1e6 / done as f64, cpu * 1e6 / done as f64);
        }
    });
}

fn memchr_end(b: &[u8]) -> Option<usize> { b.windows(4).position(|w| w == b"\r\n\r\n").map(|p| p + 4) }
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap(); s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9 }
