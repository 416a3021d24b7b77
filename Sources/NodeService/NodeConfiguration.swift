package import Base
package import ClusterModel
internal import EventLoop
package import SSHEngine

/// What a node is and how it serves.
package struct NodeConfiguration: Sendable {
    package var uuid: String
    package var hostname: String
    package var cluster: String
    /// What roles are matched against.
    package var labels: Labels
    package var address: SocketAddress
    /// `HOST:PORT` of the proxy, for sessions to know.
    package var webProxyAddress: String?
    /// Keys and certificates that prove this host, best first.
    package var hostKeys: [HostKey]
    /// From a connection to its login.
    package var authenticationDeadline: Duration
    /// The program whose `main` calls ``SessionChild/runIfAsked()`` and ``SocketChild/runIfAsked()`` first.
    package let sessionChildExecutable: String
    /// Forks ``SessionChild``ren, for all loops of the process.
    let sessionChildren: ForkServer

    package init(
        uuid: String, hostname: String, cluster: String, labels: Labels, address: SocketAddress, webProxyAddress: String? = nil,
        hostKeys: [HostKey],
        authenticationDeadline: Duration = EngineLimits().authenticationTimeMax, sessionChildExecutable: String
    ) {
        self.uuid = uuid
        self.hostname = hostname
        self.cluster = cluster
        self.labels = labels
        self.address = address
        self.webProxyAddress = webProxyAddress
        self.hostKeys = hostKeys
        self.authenticationDeadline = authenticationDeadline
        self.sessionChildExecutable = sessionChildExecutable
        sessionChildren = ForkServer(executable: sessionChildExecutable, argument: SessionChild.argument)
    }
}
