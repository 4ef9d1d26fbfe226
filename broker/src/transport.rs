//! Sockets: the one place that binds, accepts and asks for addresses, so that a simulated network can take its place.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// A bound port that refuses connections until it listens: clients must not get in before the broker can serve.
pub struct BoundPort(Socket);

/// Binds `address`. A restarted broker gets its port back at once (SO_REUSEADDR).
pub fn bind(address: SocketAddr) -> io::Result<BoundPort> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(BoundPort(socket))
}

impl BoundPort {
    /// The address that is bound, with the real port where 0 was asked.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Opens the port; `backlog` is how many connections the kernel queues while we accept.
    pub fn listen(self, backlog: i32) -> io::Result<TcpListener> {
        self.0.listen(backlog)?;
        TcpListener::from_std(self.0.into())
    }
}

/// The first address of a host, as the system's resolver says; an address is its own.
pub async fn address_of(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let found = tokio::net::lookup_host((host, 0)).await.ok()?.next();
    found.map(|address| address.ip())
}

/// Connects to `host:port`, with what [`prepare`] sets.
#[allow(clippy::disallowed_methods, reason = "this file owns the sockets")]
pub async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    prepare(&stream)?;
    Ok(stream)
}

/// Sets what every accepted connection wants: answers leave at once, dead peers are noticed.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_keepalive(true)
}

/// Moves an accepted connection to the event loop of the calling task.
pub fn adopt(stream: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(stream.into_std()?)
}
