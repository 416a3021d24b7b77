import CLibFuzzer

/// Every fuzzer in one program: `Fuzz TARGET [libFuzzer's options]`, without a target their list.
///
/// A parser must refuse or give back what can be written and read again; nothing may trap. Finds become tests in their targets.
@main
struct Fuzz {
    @safe
    struct Target {
        let name: String
        /// What libFuzzer calls with one input.
        let run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
    }

    static var targets: [Target] {
        [
            // The engine.
            unsafe Target(name: "packet-reader") { unsafe run($0, $1, fuzzPacketReader) },
            unsafe Target(name: "engine") { unsafe run($0, $1, fuzzEnginePair) },
            unsafe Target(name: "hostile-peer") { unsafe run($0, $1, fuzzHostilePeer) },
            // What SSH looks like on the wire.
            unsafe Target(name: "messages") { unsafe run($0, $1, fuzzMessages) },
            unsafe Target(name: "name-list") { unsafe run($0, $1, fuzzNameList) },
            unsafe Target(name: "terminal-modes") { unsafe run($0, $1, fuzzTerminalModes) },
            unsafe Target(name: "channel-types") { unsafe run($0, $1, fuzzChannelTypes) },
            unsafe Target(name: "socks-answer") { unsafe run($0, $1, fuzzSocksAnswer) },
            unsafe Target(name: "public-key") { unsafe run($0, $1, fuzzPublicKey) },
            unsafe Target(name: "certificate") { unsafe run($0, $1, fuzzCertificate) },
            unsafe Target(name: "agent") { unsafe run($0, $1, fuzzAgent) },
            unsafe Target(name: "socks") { unsafe run($0, $1, fuzzSocks) },
            unsafe Target(name: "key-file") { unsafe run($0, $1, fuzzKeyFile) },
            unsafe Target(name: "known-hosts") { unsafe run($0, $1, fuzzKnownHosts) },
            unsafe Target(name: "sftp-messages") { unsafe run($0, $1, fuzzSFTPMessages) },
            unsafe Target(name: "sftp-server") { unsafe run($0, $1, fuzzSFTPServer) },
            unsafe Target(name: "scp-sink") { unsafe run($0, $1, fuzzSCPSink) },
            // Texts.
            unsafe Target(name: "address") { unsafe run($0, $1, fuzzAddress) },
            unsafe Target(name: "yaml") { unsafe run($0, $1, fuzzYAML) },
            unsafe Target(name: "subsystem") { unsafe run($0, $1, fuzzSubsystem) },
            unsafe Target(name: "transport") { unsafe run($0, $1, fuzzTransport) },
            unsafe Target(name: "api-body") { unsafe run($0, $1, fuzzAPIBody) },
            // Cryptography.
            unsafe Target(name: "x509") { unsafe run($0, $1, fuzzX509) },
        ]
    }

    static func main() {
        guard CommandLine.arguments.count > 1, let target = targets.first(where: { $0.name == CommandLine.arguments[1] }) else {
            for target in targets { print(target.name) }
            return
        }
        var count = CommandLine.argc - 1
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv + 1
        _ = unsafe LLVMFuzzerRunDriver(&count, &arguments, target.run)
    }
}

/// At file scope: a C callback captures nothing, not even its type.
private func run(_ start: UnsafePointer<UInt8>?, _ count: Int, _ body: ([UInt8]) -> Void) -> CInt {
    unsafe body(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}

/// What was read must be written so that it reads the same again.
func expectSame<Value: Equatable>(_ value: Value, _ again: Value?, _ what: @autoclosure () -> String) {
    if again != value { fatalError("\(what()): \(value) is read again as \(String(describing: again))") }
}

/// Decides from the input's bytes; when they are used up, every answer is 0.
struct Choices {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isEmpty: Bool { position >= bytes.count }

    mutating func byte() -> UInt8 {
        guard !isEmpty else { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func number(below limit: Int) -> Int {
        limit <= 256 ? Int(byte()) % limit : (Int(byte()) << 8 | Int(byte())) % limit
    }

    mutating func take(_ count: Int) -> [UInt8] {
        let end = min(bytes.count, position + count)
        defer { position = end }
        return Array(bytes[position..<end])
    }

    mutating func rest() -> [UInt8] { take(bytes.count) }
}

/// What the input is to be read as: itself, or with an odd first byte, one of `bases` with pieces of it put in and bytes taken out, which is
/// how a fuzzer gets past what only a correct beginning gets past.
func edited(_ input: [UInt8], _ bases: [[UInt8]]) -> [UInt8] {
    var choices = Choices(input)
    guard choices.byte() & 1 == 1 else { return choices.rest() }
    var bytes = bases[choices.number(below: bases.count)]
    while !choices.isEmpty, !bytes.isEmpty {
        let start = choices.number(below: bytes.count)
        let end = min(bytes.count, start + choices.number(below: 16))
        bytes.replaceSubrange(start..<end, with: choices.take(choices.number(below: 16)))
    }
    return bytes
}
