internal import SSHEngine

/// Apart from the connection, which stays where it is when its engine moves to another loop.
final class HeldEngine {
    var engine: SSHEngine

    init(_ engine: consuming SSHEngine) {
        self.engine = engine
    }

    func writeOutput(to transport: any SSHTransport) {
        let count = engine.outputCount
        transport.write(engine.output)
        engine.consumeOutput(count)
    }
}
