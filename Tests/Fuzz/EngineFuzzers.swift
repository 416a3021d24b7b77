import Base
import SSHWire

@testable import SSHEngine

/// Keys and certificates that every engine here has.
enum FuzzKeys {
    static let user = PrivateKey.generate(randomness: SeededRandomness(seed: 1))
    static let host = PrivateKey.generate(randomness: SeededRandomness(seed: 2))

    static var client: EngineConfiguration {
        let credential = UserCredential(identity: .key(user.publicKey), signer: .key(user))
        var options = ClientOptions(user: "alice", credentials: [credential])
        options.goesAhead = true
        return EngineConfiguration(role: .client(options))
    }

    static var server: EngineConfiguration {
        EngineConfiguration(role: .server(ServerOptions(hostKeys: [HostKey(key: host, certificate: nil)])))
    }
}

/// An engine under attack, with a world that answers its questions and uses what it offers.
final class Victim {
    private(set) var engine: SSHEngine
    private(set) var isOver = false
    private(set) var isAuthenticated = false
    private var channels: [ChannelID] = []
    private var offers: [ChannelID] = []
    private var unconsumed: [ChannelID: Int] = [:]
    private var owed: [ChannelID: Int] = [:]
    private var owedGlobal = 0
    private var now = Instant(nanoseconds: 1_000_000_000)
    private let answersAtOnce: Bool

    init(_ configuration: EngineConfiguration, answersAtOnce: Bool, seed: UInt64 = 12) {
        var configuration = configuration
        // A window that is soon used up, as nothing is granted at once.
        if !answersAtOnce { configuration.limits.windowBytesFirst = 100 }
        engine = SSHEngine(configuration: configuration, randomness: SeededRandomness(seed: seed), now: now)
        self.answersAtOnce = answersAtOnce
    }

    func takeOutput() -> [UInt8] {
        let bytes = Array(copying: engine.output)
        engine.consumeOutput(bytes.count)
        return bytes
    }

    func receive(_ bytes: [UInt8], chunk: Int = .max) {
        var start = 0
        repeat {
            let end = bytes.count - start > chunk ? start + chunk : bytes.count
            var part = Array(bytes[start..<end])
            receive(part: &part)
            start = end
        } while start < bytes.count && !isOver
    }

    private func receive(part: inout [UInt8]) {
        guard !isOver else { return }
        var span = part.mutableSpan
        do throws(SSHError) {
            while let event = try engine.nextEvent(in: &span, now: now) { try handle(event) }
        } catch {
            isOver = true
        }
    }

    private func handle(_ event: EngineEvent) throws(SSHError) {
        switch event {
        case .hostKeyOffered(let token, _): try engine.resolve(hostKey: token, .accept)
        case .signatureWanted(let token, _): try engine.resolve(signature: token, nil)
        case .userAuthAttempted(let token, let attempt): try engine.resolve(userAuth: token, attempt.user == "alice" ? .accept : .reject)
        case .loginSent:
            guard let id = engine.openSessionAhead() else { return }
            channels.append(id)
            engine.sendRequest("exec", wantsReply: true, on: id)
        case .authenticated: isAuthenticated = true
        case .channelOpenRequested(let offer):
            offers.append(offer.id)
            if answersAtOnce { answerOffer(accepts: true) }
        case .channelOpened(let id, _): if !channels.contains(id) { channels.append(id) }
        case .channelRefused(let id, _, _), .channelClosed(let id):
            channels.removeAll { $0 == id }
            unconsumed[id] = nil
            owed[id] = nil
        case .channelData(let id, let bytes), .channelExtendedData(let id, _, let bytes):
            unconsumed[id, default: 0] += bytes.count
            if answersAtOnce { consume(id) }
        case .channelRequest(let id, let offer):
            if offer.wantsReply { owed[id, default: 0] += 1 }
            if answersAtOnce { reply(id) }
        case .globalRequest(let offer):
            if offer.wantsReply { owedGlobal += 1 }
            if answersAtOnce { replyGlobal() }
        case .disconnected: isOver = true
        case .keysExchanged, .banner, .channelRequestReply, .channelEOF, .channelWritable, .globalReply: break
        }
    }

    private func answerOffer(accepts: Bool) {
        guard let id = offers.popLast() else { return }
        if accepts {
            engine.acceptChannel(id)
            channels.append(id)
        } else {
            engine.refuseChannel(id, reason: .administrativelyProhibited, message: "no")
        }
    }

    private func consume(_ id: ChannelID) {
        guard let count = unconsumed.removeValue(forKey: id) else { return }
        engine.consumed(count, on: id)
    }

    private func reply(_ id: ChannelID) {
        guard let count = owed[id], count > 0 else { return }
        owed[id] = count - 1
        engine.replyToRequest(on: id, success: count.isMultiple(of: 2))
    }

    private func replyGlobal() {
        guard owedGlobal > 0 else { return }
        owedGlobal -= 1
        engine.replyToGlobalRequest(success: owedGlobal.isMultiple(of: 2))
    }

    static let commands = 14

    /// One thing that a service may do with its engine at any time.
    func command(_ number: Int, _ choices: inout Choices) {
        guard !isOver, isAuthenticated else { return }
        let id = channels.isEmpty ? nil : channels[choices.number(below: channels.count)]
        switch (number, id) {
        case (0, _): _ = engine.openChannel(type: "session", payload: [])
        case (1, let id?):
            let bytes = [UInt8](repeating: 7, count: choices.number(below: 60_000))
            engine.send(bytes.span, on: id)
        case (2, let id?): engine.sendExtended(choices.take(10).span, type: 1, on: id)
        case (3, let id?): engine.sendEOF(on: id)
        case (4, let id?): engine.closeChannel(id)
        case (5, let id?): engine.sendRequest("exec", payload: choices.take(4), wantsReply: choices.byte() & 1 == 1, on: id)
        case (6, _): engine.sendGlobalRequest("keepalive@openssh.com", wantsReply: choices.byte() & 1 == 1)
        case (7, _): engine.rekey()
        case (8, _): answerOffer(accepts: true)
        case (9, _): answerOffer(accepts: false)
        case (10, let id?): consume(id)
        case (11, let id?): reply(id)
        case (12, _): replyGlobal()
        case (13, _):
            now = now + .seconds(Int(choices.byte()))
            do throws(SSHError) { try engine.handleDeadline(now: now) } catch { isOver = true }
        default: return
        }
        if let id { _ = engine.isWritable(id) }
    }
}

/// Bytes of a stranger, cut anywhere, to an engine that has just begun.
func fuzzPacketReader(_ bytes: [UInt8]) {
    var choices = Choices(bytes)
    let mode = choices.byte()
    let victim = Victim(mode & 1 == 0 ? FuzzKeys.server : FuzzKeys.client, answersAtOnce: true)
    let chunk = Int(choices.byte()) + 1
    if mode & 2 == 0 { victim.receive(Array("SSH-2.0-Fuzz\r\n".utf8)) }
    victim.receive(choices.rest(), chunk: chunk)
}

/// Two engines that log in, open channels and talk, with some bytes of one side replaced under way.
func fuzzEnginePair(_ bytes: [UInt8]) {
    var choices = Choices(bytes)
    let mode = choices.byte()
    let client = Victim(FuzzKeys.client, answersAtOnce: mode & 1 == 0, seed: 11)
    let server = Victim(FuzzKeys.server, answersAtOnce: mode & 2 == 0)
    let chunk = mode & 4 == 0 ? .max : Int(choices.byte()) + 1
    var replacements: [Int: UInt8] = [:]
    for _ in 0..<choices.number(below: 4) { replacements[choices.number(below: 4096)] = choices.byte() }
    var sent = 0

    func drive() {
        // Each round takes a flight of both sides. The longest honest talk is 60,000 bytes through the smallest window, of 16 bytes, of which half
        // is granted anew at a time; more rounds than that are two engines that never come to rest.
        for _ in 0..<10_000 {
            var toServer = client.takeOutput()
            let toClient = server.takeOutput()
            if toServer.isEmpty, toClient.isEmpty { return }
            for index in toServer.indices { if let byte = replacements[sent + index] { toServer[index] = byte } }
            sent += toServer.count
            server.receive(toServer, chunk: chunk)
            client.receive(toClient, chunk: chunk)
            if client.isOver || server.isOver { return }
        }
        fatalError("the engines never come to rest")
    }

    drive()
    while !choices.isEmpty, !client.isOver, !server.isOver {
        let command = choices.number(below: 2 * Victim.commands)
        (command < Victim.commands ? client : server).command(command % Victim.commands, &choices)
        drive()
    }
}

/// A peer with the right keys that may send any payload at any time, before and after it has logged in.
func fuzzHostilePeer(_ bytes: [UInt8]) {
    var choices = Choices(bytes)
    let mode = choices.byte()
    let role: EngineRole = mode & 1 == 0 ? .client : .server
    let victim = Victim(role == .client ? FuzzKeys.server : FuzzKeys.client, answersAtOnce: mode & 2 == 0)
    let peer = HostilePeer(role, logsIn: mode & 4 == 0)
    peer.exchange(with: victim)
    while !choices.isEmpty, !victim.isOver {
        let operation = choices.number(below: 32)
        if operation < Victim.commands {
            victim.command(operation, &choices)
        } else {
            peer.send(choices.take(choices.number(below: operation == 31 ? 4096 : 64)))
        }
        peer.exchange(with: victim)
    }
}

/// Keeps to the key exchange, so that what it sends is opened, and to nothing else.
private final class HostilePeer {
    private enum Stage {
        case identification, idle, initSent, agreed, awaitingNewKeys, lost
    }

    private let role: EngineRole
    private let logsIn: Bool
    private let randomness = SeededRandomness(seed: 77)
    private var keyExchange: KeyExchange
    private var reader = PacketReader(buffers: BufferPool())
    private var writer: PacketWriter
    private var stage = Stage.identification
    private var isFirst = true
    private var theirIdentification: [UInt8] = []

    /// As one of ours, so that a client goes ahead.
    private static let identification = "SSH-2.0-Teleport-Fuzz"

    init(_ role: EngineRole, logsIn: Bool) {
        self.role = role
        self.logsIn = logsIn
        keyExchange = KeyExchange(role: role, configuration: role == .client ? FuzzKeys.client : FuzzKeys.server)
        writer = PacketWriter(padding: [UInt8](repeating: 0, count: PacketWriter.paddingBytesMax), buffers: BufferPool())
        writer.writeRaw(Array("\(Self.identification)\r\n".utf8))
        // A server that prefers its own order waits for the client's offer.
        guard role == .client else { return }
        for payload in keyExchange.begin(randomness: randomness) { writer.write(payload) }
    }

    func send(_ payload: [UInt8]) {
        guard !payload.isEmpty else { return }
        writer.write(payload)
    }

    func exchange(with victim: Victim) {
        for _ in 0..<1000 {
            let mine = Array(copying: writer.bytes)
            writer.consume(mine.count)
            victim.receive(mine)
            var theirs = victim.takeOutput()
            if mine.isEmpty, theirs.isEmpty { return }
            if stage != .lost { receive(&theirs) }
        }
        fatalError("the engine never comes to rest")
    }

    private func receive(_ bytes: inout [UInt8]) {
        var position = 0
        if stage == .identification {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return }
            theirIdentification = Array(bytes[..<end].filter { $0 != UInt8(ascii: "\r") })
            position = end + 1
            stage = role == .client ? .initSent : .idle
        }
        do throws(SSHError) {
            while stage != .lost {
                var payload: [UInt8] = []
                do {
                    var span = bytes.mutableSpan
                    guard let packet = try reader.next(in: &span, position: &position) else { return }
                    payload =
                        packet.isAssembled ? Array(reader.assembled[packet.payload]) : Array(copying: span.span.extracting(packet.payload))
                }
                try handle(payload)
            }
        } catch {
            stage = .lost
        }
    }

    private func handle(_ payload: [UInt8]) throws(SSHError) {
        let theirs = String(decoding: theirIdentification, as: UTF8.self)
        let lines = role == .client ? (Self.identification, theirs) : (theirs, Self.identification)
        switch (payload[0], stage) {
        case (20, .idle), (20, .initSent):
            for answer in try keyExchange.receiveInit(payload, sequenceNumber: 0, randomness: randomness) { writer.write(answer) }
            stage = .agreed
        case (30, .agreed) where role == .server:
            guard let message = try? KeyExchangeECDHInitMessage(payload: payload) else { return }
            let answer = try keyExchange.receiveShare(message, identifications: lines, randomness: randomness)
            writer.write(answer.reply)
            take(answer.outbound)
        case (31, .agreed) where role == .client:
            guard let message = try? KeyExchangeECDHReplyMessage(payload: payload) else { return }
            _ = try keyExchange.receiveReply(message, identifications: lines)
            take(keyExchange.acceptHostKey())
        case (21, .awaitingNewKeys):
            reader.take(keyExchange.receiveNewKeys().inbound, resetsSequence: keyExchange.isStrict)
            reader.lengthMax = PacketReader.lengthMax
            stage = .idle
            if isFirst, role == .client, logsIn { logIn() }
            isFirst = false
        case (5, _) where role == .server && logsIn:
            writer.write(ServiceAcceptMessage(service: ServiceName.userAuth).payload())
        case (50, _) where role == .server && logsIn:
            writer.write(UserAuthSuccessMessage().payload())
        default: return
        }
    }

    private func logIn() {
        let key = FuzzKeys.user
        let algorithm = SignatureAlgorithm.ed25519.rawValue
        let signed = UserAuthRequestMessage.signedData(
            sessionIdentifier: keyExchange.sessionIdentifier, user: "alice", service: ServiceName.connection, algorithm: algorithm,
            key: key.publicKey.blob)
        let signature = try? key.sign(signed, with: .ed25519).encoded()
        let request = UserAuthRequestMessage.PublicKeyAuth(algorithm: algorithm, key: key.publicKey.blob, signature: signature)
        writer.write(ServiceRequestMessage(service: ServiceName.userAuth).payload())
        writer.write(UserAuthRequestMessage(user: "alice", method: .publicKey(request)).payload())
    }

    private func take(_ outbound: PacketProtection) {
        writer.write(NewKeysMessage().payload())
        writer.take(outbound, resetsSequence: keyExchange.isStrict)
        stage = .awaitingNewKeys
    }
}
