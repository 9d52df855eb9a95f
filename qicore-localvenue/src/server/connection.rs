//! Listening, accepting, and what every TCP connection goes through.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{broadcast, mpsc, watch},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Core,
    http::{Body, answer},
    socket::{ResetSwitch, Socket},
    websocket,
};
use crate::faults::Command;

/// Held by every task of a venue, so that stopping can wait for the last.
pub(crate) type Alive = mpsc::Sender<Infallible>;

/// Accepts until the venue stops, then waits for its connections to end. While the venue is down there is no listener.
pub(crate) async fn accept(
    core: Arc<Core>,
    listener: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
) {
    let (alive, mut all_gone) = mpsc::channel(1);
    let mut stopped = core.stopped();
    let mut listener = TcpListener::from_std(listener).ok();
    while !*stopped.borrow_and_update() {
        if let Some(down) = core.faults.down_for() {
            listener = None;
            tokio::select! {
                () = tokio::time::sleep(down) => {}
                _ = stopped.changed() => {}
            }
            continue;
        }
        let Some(listening) = &listener else {
            listener = TcpListener::bind(address).await.ok();
            if listener.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            continue;
        };
        let accepted = tokio::select! {
            accepted = listening.accept() => accepted,
            // Looks again whether the venue is down.
            () = tokio::time::sleep(Duration::from_millis(5)) => continue,
            _ = stopped.changed() => continue,
        };
        if let Ok((stream, _)) = accepted {
            tokio::spawn(connection(core.clone(), stream, tls.clone(), alive.clone()));
        }
    }
    drop((listener, alive));
    let _ = all_gone.recv().await;
}

async fn connection(core: Arc<Core>, stream: TcpStream, tls: Option<TlsAcceptor>, alive: Alive) {
    let _ = stream.set_nodelay(true);
    let reset = ResetSwitch::default();
    let socket = Socket::new(stream, reset.clone());
    let Some(tls) = tls else {
        return serve(core, socket, reset, alive).await;
    };
    let mut stopped = core.stopped();
    let handshake = tokio::select! {
        handshake = tls.accept(socket) => handshake,
        () = ended(&mut stopped) => return,
    };
    match handshake {
        Ok(stream) => serve(core, stream, reset, alive).await,
        Err(error) => core.log.violation(None, format!("TLS handshake: {error}")),
    }
}

/// HTTP on one connection until it ends, is upgraded, or a fault ends it.
async fn serve<S>(core: Arc<Core>, stream: S, reset: ResetSwitch, alive: Alive)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut kill, mut stopped) = (core.faults.subscribe(), core.stopped());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (core, reset, alive) = (core.clone(), reset.clone(), alive.clone());
        async move { respond(core, request, reset, alive).await }
    });
    let mut builder = http1::Builder::new();
    builder.half_close(true);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::select! {
        // An error here is the client's end of the connection, or a fault that was asked for.
        _ = connection => {}
        command = killed(&mut kill, None) => {
            if matches!(command, Command::Reset(_)) {
                reset.on();
            }
        }
        () = ended(&mut stopped) => {}
    }
}

async fn respond(
    core: Arc<Core>,
    request: hyper::Request<Incoming>,
    reset: ResetSwitch,
    alive: Alive,
) -> Result<Response<Body>, std::io::Error> {
    if websocket::is_upgrade(&request) {
        return Ok(websocket::upgrade(core, request, reset, alive).await);
    }
    let mut response = answer(Arc::clone(&core), &request).await?;
    // By the venue's clock, wrong as it may be.
    let now = chrono::DateTime::from_timestamp_nanos(core.market.now());
    if let Ok(date) = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string().parse() {
        response.headers_mut().insert(hyper::header::DATE, date);
    }
    Ok(response)
}

/// Waits for a command that ends connections without a word: all of them, or the WebSocket of this number.
pub(super) async fn killed(commands: &mut broadcast::Receiver<Command>, id: Option<u64>) -> Command {
    loop {
        match commands.recv().await {
            Ok(command @ (Command::Reset(None) | Command::Fin)) => return command,
            Ok(command @ Command::Reset(of)) if of == id => return command,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Waits for the venue's end.
pub(super) async fn ended(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
