import AuthAPI
import Base
import ClusterModel
import Diagnostics
import EventLoop
import HTTPClient
import Logging
import NodeService
import ProxyService
import ReverseTunnel
import SSHNet
import SSHWire

/// What a node has that reaches nothing but the proxies of its cluster: tunnels through which others reach it, and it the auth server. Bound to its
/// loop.
///
///     HTTPS client ── DATA_DIR/auth.sock ── channel of a tunnel ══ proxy ── auth server
///
/// The HTTPS client dials by itself, so what it dials is a unix socket of ours, which nobody else can open.
final class NodeTunnel {
    private let agents: AgentPool
    private let socket: String
    private let listener: UnixListener
    private let door: Door
    private let diagnostics: Diagnostics
    private let loop: Loop

    /// Where the clients of the tunnels go in.
    private final class Door {
        var server: NodeServer?
    }

    /// From the words of the node's connections to the end of its tunnels, which carry them.
    private static let farewellTime: Duration = .milliseconds(50)

    /// Serves clients from now on; before, they are told to come again.
    var server: NodeServer? {
        get { door.server }
        set { door.server = newValue }
    }

    private init(
        _ agents: AgentPool, _ door: Door, socket: String, _ diagnostics: Diagnostics, _ loop: Loop
    ) throws(TeleportError) {
        self.agents = agents
        self.diagnostics = diagnostics
        self.door = door
        self.socket = socket
        self.loop = loop
        // Left behind by a process that was killed; the data directory is held by one at a time.
        try FileIO.remove(socket)
        listener = try UnixListener(path: socket, on: loop) { [agents] stream in agents.connectToAuthServer(stream) }
        diagnostics.measure(LoopBound(agents, on: loop)) { agents, metrics in agents.add(to: &metrics) }
        agents.onChange = { [unowned self] in changed() }
        changed()
        agents.start()
    }

    /// As long as no tunnel is up, requests wait.
    private func changed() {
        diagnostics.tunnels(agents.standings)
        if agents.connected.isEmpty { listener.pause() } else { listener.resume() }
    }

    /// Asks the proxy where agents dial, waiting until it answers, and begins to dial.
    ///
    /// - Parameters:
    ///   - proxy: its HTTPS.
    ///   - socket: a path that is free.
    static func open(
        _ proxy: HostPort, socket: String, _ identity: HostIdentity, _ credentials: HostCredentials, _ diagnostics: Diagnostics,
        _ randomness: any Randomness, _ loop: isolated EventLoop, _ logger: Logger
    ) async throws -> NodeTunnel {
        let entries = try await entries(of: proxy, randomness, loop, logger)
        let door = Door()
        let service = NodeTunnelService(uuid: identity.uuid, entries: entries) { request, client, ended in
            guard let server = door.server else {
                request.refuse(.connectFailed, "the node is starting")
                return ended()
            }
            server.serve(request, from: client, ended: ended)
        }
        // The authorities that the node knows since it joined verify the first tunnel; it brings the newest.
        let known = ClusterSnapshot(ClusterState(clusterName: identity.cluster, authorities: identity.authorities))
        let agents = AgentPool(
            snapshot: known, credential: { credentials.agentCredential }, service: service, randomness: randomness, on: loop.inside,
            logger: logger)
        return try NodeTunnel(agents, door, socket: socket, diagnostics, loop.inside)
    }

    /// Where agents dial: the address that the proxy announces, and the one under which this host knows it, which may be the only one that leads
    /// there from here.
    private static func entries(
        of proxy: HostPort, _ randomness: any Randomness, _ loop: isolated EventLoop, _ logger: Logger
    ) async throws -> [HostPort] {
        // Nobody is believed on this: what answers at the address has to prove that it is a proxy of the cluster.
        let client = HTTPClient(on: loop, tls: HTTPClientTLS(server: .none, checksHostName: false))
        var backoff = Backoff(first: .milliseconds(200), longest: .seconds(5))
        while true {
            do throws(TeleportError) {
                let answer = try await client.send(
                    HTTPClientRequest(.get, "https://\(proxy)/v1/ping", timeout: AuthClient.timeout, responseBytesMax: 1 << 16))
                guard answer.status == 200, let ping = try? JSONText.decode(WebPing.self, from: answer.body),
                    let announced = HostPort(ping.tunnelAddr)
                else { throw .connectionProblem("\(proxy) does not answer as a proxy of ours") }
                let named = HostPort(host: proxy.host, port: announced.port)
                let isNowhere = IPAddress(announced.host)?.isUnspecified ?? false
                return isNowhere || announced == named ? [named] : [announced, named]
            } catch {
                if backoff.failures == 0 {
                    logger.warning("waiting for the proxy", metadata: ["address": "\(proxy)", "error": "\(error.message)"])
                }
            }
            try await loop.sleep(for: backoff.next(randomness))
        }
    }

    /// To the auth server through the tunnels: what passes there is sealed for it alone.
    func transport(_ identity: HostIdentity, _ eventLoop: EventLoop) -> RenewableTransport {
        let socket = socket
        return RenewableTransport(identity) { AuthClient(socket: socket, identity: $0, on: eventLoop) }
    }

    func follow(_ cache: AuthCache) {
        let bound = LoopBound(agents, on: loop)
        cache.onChange { snapshot in
            bound.eventLoop.post { loop in bound.value(on: loop)?.update(snapshot) }
        }
    }

    func drain(_ whenIdle: @escaping () -> Void) {
        agents.stopAccepting()
        agents.whenIdle(whenIdle)
    }

    func close() {
        agents.onChange = nil
        listener.close()
        loop.schedule(after: Self.farewellTime) { [agents] in agents.stop() }
    }
}
