package import Base
package import ClusterModel
package import EventLoop
internal import SSHNet

/// The way through the proxy to whatever a command line names. Bound to its loop.
package final class ClusterDialer {
    package let client: ClientLogin
    private var proxy: ProxyClient
    private let randomness: any Randomness
    private let loop: Loop

    private init(_ client: ClientLogin, _ proxy: ProxyClient, _ randomness: any Randomness, _ loop: Loop) {
        self.client = client
        self.proxy = proxy
        self.randomness = randomness
        self.loop = loop
    }

    /// Connects and logs in to the proxy.
    package static func connect(
        as client: ClientLogin, randomness: any Randomness, pace: Pace = .loggedIn, on loop: Loop,
        then: @escaping (Result<ClusterDialer, TeleportError>) -> Void
    ) {
        ProxyClient.connect(to: client.proxy, identity: client.identity, randomness: randomness, pace: pace, on: loop) { result in
            then(result.map { ClusterDialer(client, $0, randomness, loop) })
        }
    }

    /// Asks the proxy; where it took offence at being asked ahead of its answers, once more on a connection that waits for each.
    private func ask<Answer>(
        _ question: @escaping (ProxyClient, @escaping (Result<Answer, TeleportError>) -> Void) -> Void,
        then: @escaping (Result<Answer, TeleportError>) -> Void
    ) {
        question(proxy) { [self] result in
            guard case .failure = result, proxy.wasRefusedAhead else { return then(result) }
            ProxyClient.connect(to: client.proxy, identity: client.identity, randomness: randomness, pace: .waiting, on: loop) { [self] in
                switch $0 {
                case .failure(let error): then(.failure(error))
                case .success(let proxy):
                    self.proxy = proxy
                    question(proxy, then)
                }
            }
        }
    }

    package func close() {
        proxy.close()
    }

    // MARK: What there is

    package func sites(then: @escaping (Result<[SiteList.Site], TeleportError>) -> Void) {
        ask {
            $0.ask("proxysites", then: $1)
        } then: { result in
            then(result.flatMap { json in Result { () throws(TeleportError) in try SiteList(json: json).sites } })
        }
    }

    package func nodes(of site: String, then: @escaping (Result<[Node], TeleportError>) -> Void) {
        ask {
            $0.ask("proxynodes:@\(site)", then: $1)
        } then: { result in
            then(result.flatMap { json in Result { () throws(TeleportError) in try NodeList(json: json).nodes } })
        }
    }

    /// What a target means. The proxy is asked for its sites only where those whose authorities we know leave a doubt.
    package func resolve(_ target: CommandTarget, then: @escaping (Result<CommandTarget, TeleportError>) -> Void) {
        let known = client.identity.knownClusters
        if target.isDecided(isSite: known.contains) { return then(.success(target.resolved(isSite: known.contains))) }
        sites { result in
            then(result.map { sites in target.resolved { name in sites.contains { $0.name == name } } })
        }
    }

    // MARK: Nodes

    /// - Parameter port: 0 for whichever the node has.
    package func connect(
        toNode name: String, port: UInt16, site: String, login: String, pace: Pace = .loggedIn,
        then: @escaping (Result<NodeClient, TeleportError>) -> Void
    ) {
        ask({ $0.connect(toNode: name, port: port, site: site, login: login, pace: pace, then: $1) }, then: then)
    }

    /// A channel to a node's port, without a session in it.
    func open(toNode name: String, port: UInt16, site: String, handler: any ChannelHandler) {
        proxy.open(name, port: port, site: site, handler: handler)
    }

    /// Bytes to and from a node's port, as they are, on this process's stdin and stdout.
    ///
    /// - Parameter host: a node's name, UUID or address, of the default site unless it ends in a site's name.
    package func relay(toHost host: String, port: UInt16, on loop: Loop, then: @escaping (Result<Void, TeleportError>) -> Void) {
        let target = CommandTarget(login: nil, place: .node(host), site: nil)
        resolve(target) { [self] result in
            switch result {
            case .failure(let error): then(.failure(error))
            case .success(let target):
                guard case .node(let name) = target.place else { preconditionFailure("a host is no label") }
                proxy.open(name, port: port, site: target.site ?? client.site, handler: StandardRelay(on: loop, then: then))
            }
        }
    }
}
