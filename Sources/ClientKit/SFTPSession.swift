package import Base
package import EventLoop
package import SFTP
package import SSHNet
internal import SSHEngine
package import SSHWire

/// SFTP with a node: requests as calls, whole files as many requests at once. Bound to its loop.
package final class SFTPSession: ChannelHandler {
    private let node: NodeClient
    private let loop: Loop
    private var client = SFTPClient()
    private var channel: SSHChannel?
    private var ready: ((Result<Void, TeleportError>) -> Void)?
    private var unanswered: [UInt32: (Result<SFTPReply, TeleportError>) -> Void] = [:]
    private var failure: TeleportError?
    private var diagnostics: [UInt8] = []
    /// What one read or write carries: what every server takes, until this one has said more.
    private var pieceBytes: UInt32 = 32 << 10

    /// More in a piece saves nothing.
    private static let pieceBytesMax: UInt32 = 64 << 10

    private init(_ node: NodeClient, on loop: Loop) {
        self.node = node
        self.loop = loop
    }

    /// Opens the subsystem, and asks the server for its limits.
    private static func open(
        on node: NodeClient, loop: Loop, then: @escaping (Result<SFTPSession, TeleportError>) -> Void
    ) {
        let session = SFTPSession(node, on: loop)
        session.ready = { result in
            guard case .success = result, session.client.supports(SFTPExtendedRequest.Name.limits) else {
                return then(result.map { session })
            }
            session.send(.extended(.limits)) { reply in
                if case .success(.extended(let bytes)) = reply, let limits = try? SFTPLimits(decoding: bytes) { session.apply(limits) }
                then(.success(session))
            }
        }
        node.ended = { error in session.fail(error) }
        if node.openSession(session) == nil { session.fail(.connectionProblem("the connection to the node has ended")) }
    }

    private func apply(_ limits: SFTPLimits) {
        var most = UInt64(Self.pieceBytesMax)
        for limit in [limits.readBytesMax, limits.writeBytesMax] where limit > 0 { most = min(most, limit) }
        pieceBytes = UInt32(max(most, 1024))
    }

    /// Connects to a node through the proxy, and begins SFTP there.
    ///
    /// - Parameters:
    ///   - port: 0 for whichever the node has.
    ///   - login: nil for that of the target, or the usual one.
    package static func open(
        to target: CommandTarget, port: UInt16, login: String?, localUser: String?, as client: ClientLogin,
        sharing: ConnectionSharing, randomness: any Randomness, on loop: Loop
    ) async throws(TeleportError) -> SFTPSession {
        let dialer = try await waiting {
            ClusterDialer.connect(as: client, randomness: randomness, pace: .ahead, sharing: sharing, on: loop, then: $0)
        }
        let target = try await waiting { dialer.resolve(target, then: $0) }
        guard case .node(let name) = target.place else { throw .badParameter("files go to and from one node, not all with some labels") }
        let login = try client.login(asked: login ?? target.login, localUser: localUser)
        let node = try await waiting {
            dialer.connect(toNode: name, port: port, site: target.site ?? client.site, login: login, then: $0)
        }
        return try await waiting { open(on: node, loop: loop, then: $0) }
    }

    package var hasEnded: Bool { failure != nil }
    package func supports(_ name: String) -> Bool { client.supports(name) }

    package func close() {
        node.ended = nil
        node.close()
    }

    // MARK: Requests

    package func send(_ request: SFTPRequest, then: @escaping (Result<SFTPReply, TeleportError>) -> Void) {
        if let failure { return loop.atEndOfTurn { then(.failure(failure)) } }
        let (id, packet) = client.send(request)
        unanswered[id] = then
        channel?.write(packet)
    }

    package func ask(_ request: SFTPRequest) async throws(TeleportError) -> SFTPReply {
        try await waiting { send(request, then: $0) }
    }

    /// A request whose answer is only whether it was done.
    package func perform(_ request: SFTPRequest, _ what: @autoclosure () -> String) async throws(TeleportError) {
        let reply = try await ask(request)
        guard case .status(.ok, _) = reply else { throw Self.error(reply, what()) }
    }

    package func open(_ path: [UInt8], _ flags: SFTPOpenFlags, permissions: UInt32? = nil) async throws(TeleportError) -> [UInt8] {
        let reply = try await ask(.open(path: path, flags: flags, attributes: SFTPAttributes(permissions: permissions)))
        guard case .handle(let handle) = reply else { throw Self.error(reply, "opening \(Self.shown(path))") }
        return handle
    }

    package func close(_ handle: [UInt8], _ path: [UInt8]) async throws(TeleportError) {
        try await perform(.close(handle: handle), "closing \(Self.shown(path))")
    }

    /// nil where there is nothing of that name.
    ///
    /// - Parameter followsLink: whether what a symbolic link points to is meant.
    package func attributes(of path: [UInt8], followsLink: Bool = true) async throws(TeleportError) -> SFTPAttributes? {
        let reply = try await ask(followsLink ? .status(path: path) : .linkStatus(path: path))
        switch reply {
        case .attributes(let attributes): return attributes
        case .status(.noSuchFile, _): return nil
        default: throw Self.error(reply, "looking at \(Self.shown(path))")
        }
    }

    package func realPath(_ path: [UInt8]) async throws(TeleportError) -> [UInt8] {
        let reply = try await ask(.realPath(path: path))
        guard case .names(let names) = reply, names.count == 1, let name = names.first?.name, !name.isEmpty else {
            throw Self.error(reply, "finding \(Self.shown(path))")
        }
        return name
    }

    /// What is in a directory, by name, without `.` and `..`.
    ///
    /// - Throws: also for a name that leads out of the directory: no file has it, so the server is hostile or broken (CVE-2019-6111).
    package func list(_ path: [UInt8]) async throws(TeleportError) -> [SFTPName] {
        let opened = try await ask(.openDirectory(path: path))
        guard case .handle(let handle) = opened else { throw Self.error(opened, "listing \(Self.shown(path))") }
        var all: [SFTPName] = []
        while true {
            let reply = try await ask(.readDirectory(handle: handle))
            if case .status(.endOfFile, _) = reply { break }
            guard case .names(let names) = reply else { throw Self.error(reply, "listing \(Self.shown(path))") }
            for name in names where name.name != Array(".".utf8) && name.name != Array("..".utf8) {
                guard SFTPSession.isFileName(name.name) else {
                    throw .accessDenied("the node lists \(Self.shown(name.name)) in \(Self.shown(path)), which is no file's name")
                }
                all.append(name)
            }
            guard all.count <= Self.namesMax else { throw .limitExceeded("\(Self.shown(path)) has more than \(Self.namesMax) files") }
        }
        try await close(handle, path)
        return all.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// A directory that never ends is a server's fault.
    private static let namesMax = 1_000_000

    /// Whether it names something in a directory and nothing else.
    package static func isFileName(_ name: [UInt8]) -> Bool {
        !name.isEmpty && !name.contains(UInt8(ascii: "/")) && !name.contains(0) && name != Array(".".utf8) && name != Array("..".utf8)
    }

    /// A path as a person may see it: whatever speaks to a terminal is replaced.
    package static func shown(_ path: [UInt8]) -> String {
        String(
            String.UnicodeScalarView(
                String(decoding: path, as: UTF8.self).unicodeScalars.map { $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) ? "?" : $0 })
        )
    }

    /// What a reply that was not hoped for means.
    package static func error(_ reply: SFTPReply, _ what: String) -> TeleportError {
        guard case .status(let code, let message) = reply else {
            return .connectionProblem("\(what): the node's answer is not one to the question")
        }
        let text = message.isEmpty ? code.text : shown(Array(message.utf8))
        switch code {
        case .noSuchFile: return .notFound("\(what): \(text)")
        case .permissionDenied: return .accessDenied("\(what): \(text)")
        case .ok: return .connectionProblem("\(what): the node's answer is not one to the question")
        default: return TeleportError(.systemError, "\(what): \(text)")
        }
    }

    // MARK: Whole files

    /// Reads a remote file from `offset` to its end into the same places of a local one.
    ///
    /// - Parameter size: as the server says; a hint.
    package func download(
        _ handle: [UInt8], from offset: UInt64, size: UInt64?, to file: OpenFile, progress: @escaping (Int) -> Void
    ) async throws(TeleportError) {
        let plan = SFTPReadPlan(from: offset, size: size, pieceBytes: pieceBytes)
        try await waiting { Download(self, handle, plan, file, on: loop, progress: progress, then: $0).pump() }
    }

    /// Writes a local file from `offset` to its end into the same places of a remote one.
    package func upload(
        _ file: OpenFile, from offset: UInt64, to handle: [UInt8], progress: @escaping (Int) -> Void
    ) async throws(TeleportError) {
        try await waiting {
            Upload(self, handle, file, from: offset, pieceBytes: Int(pieceBytes), on: loop, progress: progress, then: $0).pump()
        }
    }

    // MARK: ChannelHandler

    package func channelOpened(_ channel: SSHChannel) {
        self.channel = channel
        let request = SessionRequest.subsystem(name: "sftp")
        channel.request(request.type, payload: request.payload()) { [self] success in
            guard success else {
                return fail(.accessDenied("the node has no SFTP for you: it does not know it, or your roles do not allow it"))
            }
            channel.write(client.hello())
        }
    }

    package func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        fail(.accessDenied("the node opened no session: \(ProxyText.message(Array(message.utf8)) ?? "it gives no reason")"))
    }

    package func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        client.receive(data)
        channel.consumed(data.count)
        do throws(WireError) {
            while failure == nil, let event = try client.next() { handle(event) }
        } catch {
            fail(.connectionProblem("the node does not speak SFTP: what it sends cannot be read", cause: error))
            channel.close()
        }
    }

    private func handle(_ event: SFTPClient.Event) {
        switch event {
        case .ready: finishOpening(.success(()))
        case .reply(let id, let reply): unanswered.removeValue(forKey: id)?(.success(reply))
        }
    }

    package func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) {
        if diagnostics.count < 4096 { diagnostics.append(copying: data) }
        channel.consumed(data.count)
    }

    package func channelClosed(_ channel: SSHChannel) {
        fail(.connectionProblem("the node ended SFTP\(ProxyText.message(diagnostics).map { ": \($0)" } ?? "")"))
    }

    private func finishOpening(_ result: Result<Void, TeleportError>) {
        let ready = ready
        self.ready = nil
        ready?(result)
    }

    private func fail(_ error: TeleportError) {
        guard failure == nil else { return }
        failure = error
        let unanswered = unanswered
        self.unanswered = [:]
        for then in unanswered.values { then(.failure(error)) }
        finishOpening(.failure(error))
    }
}

/// One file on its way here: pieces are asked for ahead, and written where they belong as they come.
private final class Download {
    private let session: SFTPSession
    private let handle: [UInt8]
    private var plan: SFTPReadPlan
    private let file: OpenFile
    private let loop: Loop
    private let progress: (Int) -> Void
    private var then: ((Result<Void, TeleportError>) -> Void)?
    private var writing = 0

    /// Pieces that the disk has not taken yet: above it no more are asked for.
    private static let writingMax = 64

    init(
        _ session: SFTPSession, _ handle: [UInt8], _ plan: SFTPReadPlan, _ file: OpenFile, on loop: Loop, progress: @escaping (Int) -> Void,
        then: @escaping (Result<Void, TeleportError>) -> Void
    ) {
        self.session = session
        self.handle = handle
        self.plan = plan
        self.file = file
        self.loop = loop
        self.progress = progress
        self.then = then
    }

    func pump() {
        guard then != nil else { return }
        while writing < Self.writingMax, let piece = plan.ask() {
            session.send(.read(handle: handle, offset: piece.offset, count: piece.count)) { [self] in came(piece, $0) }
        }
        if plan.isDone, writing == 0 { finish(.success(())) }
    }

    private func came(_ piece: SFTPReadPlan.Piece, _ result: Result<SFTPReply, TeleportError>) {
        switch result {
        case .success(.data(let bytes)):
            guard plan.received(piece, count: bytes.count) else {
                return finish(.failure(.connectionProblem("the node sends other than was asked for")))
            }
            write(bytes, at: piece.offset)
        case .success(.status(.endOfFile, _)): plan.ended(piece)
        case .success(let reply): return finish(.failure(SFTPSession.error(reply, "reading")))
        case .failure(let error): return finish(.failure(error))
        }
        pump()
    }

    private func write(_ bytes: [UInt8], at offset: UInt64) {
        writing += 1
        let file = file
        loop.work {
            try file.write(bytes.span, at: offset)
        } then: { [self] result in
            writing -= 1
            if case .failure(let error) = result {
                return finish(.failure(error as? TeleportError ?? TeleportError(.systemError, "writing", cause: error)))
            }
            progress(bytes.count)
            pump()
        }
    }

    private func finish(_ result: Result<Void, TeleportError>) {
        let then = then
        self.then = nil
        then?(result)
    }
}

/// One file on its way there: the disk is read ahead in large parts, which go out in pieces.
private final class Upload {
    private let session: SFTPSession
    private let handle: [UInt8]
    private let file: OpenFile
    private let pieceBytes: Int
    private let loop: Loop
    private let progress: (Int) -> Void
    private var then: ((Result<Void, TeleportError>) -> Void)?
    private var offset: UInt64
    private var underWay = 0
    private var isReading = false
    private var hasEnded = false

    /// As for reading: 64 pieces of 32 KiB are 2 MiB.
    private static let underWayMax = 64
    private static let partBytes = 256 << 10

    init(
        _ session: SFTPSession, _ handle: [UInt8], _ file: OpenFile, from offset: UInt64, pieceBytes: Int, on loop: Loop,
        progress: @escaping (Int) -> Void, then: @escaping (Result<Void, TeleportError>) -> Void
    ) {
        self.session = session
        self.handle = handle
        self.file = file
        self.offset = offset
        self.pieceBytes = pieceBytes
        self.loop = loop
        self.progress = progress
        self.then = then
    }

    func pump() {
        guard then != nil else { return }
        if hasEnded, underWay == 0 { return finish(.success(())) }
        guard !hasEnded, !isReading, underWay < Self.underWayMax else { return }
        isReading = true
        let (file, offset) = (file, offset)
        loop.work {
            try Self.read(file, at: offset)
        } then: { [self] result in
            isReading = false
            switch result {
            case .failure(let error): finish(.failure(error as? TeleportError ?? TeleportError(.systemError, "reading", cause: error)))
            case .success(let bytes):
                hasEnded = bytes.count < Self.partBytes
                write(bytes)
                pump()
            }
        }
    }

    /// Fewer than ``partBytes`` only at the end of the file.
    private static func read(_ file: OpenFile, at offset: UInt64) throws(TeleportError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < partBytes {
            var part = [UInt8](repeating: 0, count: partBytes - bytes.count)
            var span = part.mutableSpan
            let count = try file.read(at: offset + UInt64(bytes.count), into: &span)
            guard count > 0 else { break }
            part.removeLast(part.count - count)
            bytes += part
        }
        return bytes
    }

    private func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty, then != nil {
            let piece = Array(rest.prefix(pieceBytes))
            rest = rest.dropFirst(pieceBytes)
            underWay += 1
            session.send(.write(handle: handle, offset: offset, data: piece)) { [self] result in
                underWay -= 1
                switch result {
                case .success(.status(.ok, _)):
                    progress(piece.count)
                    pump()
                case .success(let reply): finish(.failure(SFTPSession.error(reply, "writing")))
                case .failure(let error): finish(.failure(error))
                }
            }
            offset += UInt64(piece.count)
        }
    }

    private func finish(_ result: Result<Void, TeleportError>) {
        let then = then
        self.then = nil
        then?(result)
    }
}
