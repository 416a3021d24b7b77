import Base
import Config
import EventLoop

/// The child process `teleport start -c` of one host of a topology.
final class HostProcess: KeptProcess {
    let host: TopologyPlan.Host

    init(
        _ host: TopologyPlan.Host, executable: String, randomness: any Randomness, on loop: Loop,
        ended: @escaping (KeptProcess, ChildProcess.Exit) -> Void
    ) {
        self.host = host
        super.init(
            Program(
                name: "\(host.cluster)/\(host.name)", executable: executable,
                arguments: ["start", "-c", host.configPath, "--stop-with-descriptor", "0"], logPath: host.logPath), randomness: randomness,
            on: loop, ended: ended)
    }
}
