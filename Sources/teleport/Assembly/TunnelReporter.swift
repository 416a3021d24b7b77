import AuthAPI
import Base
import EventLoop
import Logging
import ReverseTunnel

/// Tells the auth server which sites are connected to this proxy, and to which root clusters it is: what has changed at once, everything with the
/// proxy's heartbeat. Bound to its loop.
///
/// One report is under way at a time; what changes meanwhile goes with the next, so that thousands of sites that come at once make few reports.
final class TunnelReporter {
    private let directory: SiteDirectory
    private let client: AuthClient
    private let loop: Loop
    private let logger: Logger
    private var roots: Set<String> = []
    /// What is connected, by shard.
    private var shards: [Int: Set<String>] = [:]
    /// What the auth server has not been told.
    private var changed: Set<Int> = []
    private var isReporting = false
    private var isStopped = false

    init(_ directory: SiteDirectory, client: AuthClient, on loop: Loop, logger: Logger) {
        self.directory = directory
        self.client = client
        self.loop = loop
        self.logger = logger
        let home = LoopBound(Weak(self), on: loop)
        let present = directory.follow { change in
            home.eventLoop.post { loop in home.value(on: loop)?.object?.update(change.cluster) }
        }
        for change in present { update(change.cluster) }
    }

    func update(roots: [String]) {
        let before = self.roots
        self.roots = Set(roots)
        for name in before.symmetricDifference(self.roots) { update(name) }
    }

    /// What was said may have been forgotten: it is said again before it expires.
    func reportAll() {
        changed.formUnion(shards.keys)
        report()
    }

    func stop() {
        isStopped = true
    }

    private func update(_ name: String) {
        let number = TunnelReport.shard(of: name)
        let hasChanged =
            directory.isConnected(name) || roots.contains(name)
            ? shards[number, default: []].insert(name).inserted : shards[number]?.remove(name) != nil
        guard hasChanged else { return }
        if shards[number]?.isEmpty == true { shards[number] = nil }
        changed.insert(number)
        report()
    }

    private func report() {
        guard !isReporting, !isStopped, !changed.isEmpty else { return }
        isReporting = true
        let report = next()
        let client = client
        loop.perform({ try await client.reportTunnels(report) }) { [weak self] result in
            guard let self else { return }
            isReporting = false
            if case .failure(let error) = result {
                logger.warning("cannot report the tunnels", metadata: ["error": "\(error)"])
                // The next heartbeat, or the next change, says it again.
                changed.formUnion(report.shards.map(\.number))
            } else {
                self.report()
            }
        }
    }

    private func next() -> TunnelReport {
        var report = TunnelReport(shards: [])
        var names = 0
        while let number = changed.first, report.shards.count < TunnelReport.shardsMax {
            let connected = (shards[number] ?? []).sorted()
            names += connected.count
            guard report.shards.isEmpty || names <= TunnelReport.namesMax else { break }
            changed.remove(number)
            report.shards.append(TunnelReport.Shard(number: number, connected: connected))
        }
        return report
    }
}
