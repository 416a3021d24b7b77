package import Base
package import ClusterModel
package import EventLoop
internal import SSHNet

/// The way through the proxy to whatever a command line names. Bound to its loop.
package final class ClusterDialer {
    package let client: ClientLogin
    private let proxy: ProxyClient

    private init(_ client: ClientLogin, _ proxy: ProxyClient) {
        self.client = client
        self.proxy = proxy
    }

    /// Connects and logs in to the proxy.
    package static func connect(
        as client: ClientLogin, randomness: any Randomness, on loop: Loop, then: @escaping (Result<ClusterDialer, TeleportError>) -> Void
    ) {
        ProxyClient.connect(to: client.proxy, identity: client.identity, randomness: randomness, on: loop) { result in
            then(result.map { ClusterDialer(client, $0) })
        }
    }

    package func close() {
        proxy.close()
    }

    // MARK: What there is

    package func sites(then: @escaping (Result<[SiteList.Site], TeleportError>) -> Void) {
        proxy.ask("proxysites") { result in
            then(result.flatMap { json in Result { () throws(TeleportError) in try SiteList(json: json).sites } })
        }
    }

    package func nodes(of site: String, then: @escaping (Result<[Node], TeleportError>) -> Void) {
        proxy.ask("proxynodes:@\(site)") { result in
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
        toNode name: String, port: UInt16, site: String, login: String, then: @escaping (Result<NodeClient, TeleportError>) -> Void
    ) {
        proxy.connect(toNode: name, port: port, site: site, login: login) { [self] result in
            if case .failure(let error) = result {
                explain(error, site: site) { then(.failure($0)) }
            } else {
                then(result)
            }
        }
    }

    /// A channel to a node's port, without a session in it.
    func open(toNode name: String, port: UInt16, site: String, handler: any ChannelHandler) {
        proxy.open(name, port: port, site: site, handler: handler)
    }

    /// A site that does not exist is told from a node that does not: the proxy was asked for `NODE.SITE` only.
    private func explain(_ error: TeleportError, site: String, then: @escaping (TeleportError) -> Void) {
        guard error.kind == .accessDenied, site != client.identity.cluster else { return then(error) }
        sites { result in
            guard let sites = try? result.get(), !sites.contains(where: { $0.name == site }) else { return then(error) }
            then(.notFound("site \(site) is not known to the proxy; `tsh clusters` lists those that are", cause: error))
        }
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
