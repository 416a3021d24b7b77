package import Base
internal import ClusterModel

/// What `-o` says: options of ssh_config(5), as far as they have a meaning here.
package struct SSHOptions: Equatable, Sendable {
    package enum Terminal: Equatable, Sendable {
        case never, always
        /// Where stdin is one and there is no command.
        case automatic
    }

    package var user: String?
    package var port: UInt16?
    package var forwardsAgent = false
    package var terminal = Terminal.automatic
    package var forwards: [Forward] = []
    package var needsForwards = true
    package var startsNoSession = false
    /// nil: nothing was said.
    package var persistence: Persistence?
    /// `ControlPath=none`.
    package var sharesNothing = false
    /// Names, or beginnings of names before a `*`.
    package var sentEnvironment: [String] = []
    package var environment: [String: String] = [:]

    /// Of ssh's own business, or as strict here as can be: hosts are verified by their certificates always, and nothing is ever asked.
    private static let withoutEffect: Set<String> = [
        "addkeystoagent", "addressfamily", "batchmode", "checkhostip", "compression", "connecttimeout", "controlmaster",
        "globalknownhostsfile", "gssapiauthentication", "hostkeyalgorithms", "identitiesonly",
        "kbdinteractiveauthentication", "loglevel", "passwordauthentication", "preferredauthentications", "pubkeyauthentication",
        "stricthostkeychecking", "tcpkeepalive", "updatehostkeys", "userknownhostsfile",
    ]

    package init() {}

    /// - Parameter texts: `Name=Value` or `Name Value`, the first of one name counts.
    package init(_ texts: [String]) throws(TeleportError) {
        // Later ones are overwritten by earlier ones; what adds up keeps its order.
        for text in texts.reversed() { try apply(text) }
        forwards.reverse()
    }

    private mutating func apply(_ text: String) throws(TeleportError) {
        guard let end = text.firstIndex(where: { $0 == "=" || $0 == " " }), end != text.startIndex else {
            throw .badParameter("-o \(text) is not NAME=VALUE")
        }
        let name = text[..<end].lowercased()
        let value = String(text[text.index(after: end)...].drop { $0 == "=" || $0 == " " })
        switch name {
        case "user": user = value
        case "port":
            guard let number = UInt16(value) else { throw Self.invalid(text) }
            port = number
        case "forwardagent": forwardsAgent = try Self.truth(value, text)
        case "requesttty":
            switch value {
            case "no": terminal = .never
            case "yes", "force": terminal = .always
            case "auto": terminal = .automatic
            default: throw Self.invalid(text)
            }
        case "localforward": forwards.append(try Forward(local: Self.joined(value)))
        case "remoteforward": forwards.append(try Forward(remote: Self.joined(value)))
        case "dynamicforward": forwards.append(try Forward(dynamic: value))
        case "exitonforwardfailure": needsForwards = try Self.truth(value, text)
        case "sessiontype":
            switch value {
            case "none": startsNoSession = true
            case "default": startsNoSession = false
            default: throw Self.invalid(text)
            }
        case "sendenv": sentEnvironment += value.split(separator: " ").map(String.init)
        case "setenv":
            for pair in value.split(separator: " ") {
                guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else { throw Self.invalid(text) }
                environment[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
            }
        case "controlpersist": persistence = try Persistence(value)
        case "controlpath": sharesNothing = value == "none"
        case _ where Self.withoutEffect.contains(name): break
        default: throw .badParameter("-o \(name) has no meaning for tsh")
        }
    }

    /// In ssh_config(5) a blank stands between the two ends of a forward.
    private static func joined(_ value: String) -> String {
        value.split(separator: " ").joined(separator: ":")
    }

    private static func truth(_ value: String, _ text: String) throws(TeleportError) -> Bool {
        switch value {
        case "yes", "true": true
        case "no", "false": false
        default: throw invalid(text)
        }
    }

    private static func invalid(_ text: String) -> TeleportError { .badParameter("-o \(text) has no value of its kind") }

    /// Whether `SendEnv` names a variable.
    package func sends(_ name: String) -> Bool {
        sentEnvironment.contains { pattern in pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern }
    }
}

/// `ControlPersist`: whether the connection to the proxy is kept for the commands to come, and for how long without any.
package enum Persistence: Equatable, Sendable {
    case none
    case time(Duration)

    /// - Parameter text: `no`, `yes`, seconds or a time such as `10m`, as in ssh_config(5).
    package init(_ text: String) throws(TeleportError) {
        switch text {
        case "no": self = .none
        case "yes", "0": self = .time(Self.longest)
        case _ where text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }:
            guard let seconds = Int64(text), seconds > 0 else { throw Self.invalid(text) }
            self = .time(min(.seconds(seconds), Self.longest))
        default:
            guard let time = try? DurationText.parse(text), time > .zero else { throw Self.invalid(text) }
            self = .time(min(time, Self.longest))
        }
    }

    /// No certificate lives as long.
    private static let longest: Duration = .seconds(10 * 365 * 86_400)

    private static func invalid(_ text: String) -> TeleportError {
        .badParameter("ControlPersist is yes, no or a time such as 10m, not \(text)")
    }
}
