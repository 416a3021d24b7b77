package import Logging

/// A handler for swift-log that writes one line for one event, as text or as JSON.
///
/// Messages are constant texts of this code; values may come from strangers, so they are escaped, truncated with a mark, and never printed
/// at all under a key that names a secret.
package struct LineLogHandler: LogHandler {
    package enum Format: String, Sendable, CaseIterable {
        case text, json
    }

    /// Metadata keys (their last part after a dot, in lower case) whose values are never printed.
    package static let secretKeys: Set<String> = [
        "authorization", "code", "cookie", "key_material", "new_password", "otp", "otp_secret", "passphrase", "password", "password_hash",
        "private_key", "privatekey", "secret", "session_key", "token", "totp",
    ]
    /// Values nested deeper than this are printed as `…`.
    private static let depthMax = 4

    package let label: String
    package let format: Format
    /// The common threshold, unless one logger was given its own.
    package var logLevel: Logger.Level {
        get { ownLevel ?? threshold.level }
        set { ownLevel = newValue }
    }
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let threshold: LogThreshold
    private var ownLevel: Logger.Level?
    private let clock: any Clock
    private let destination: LogDestination

    package init(label: String, format: Format, level: Logger.Level, clock: any Clock, destination: LogDestination) {
        self.init(label: label, format: format, threshold: LogThreshold(level), clock: clock, destination: destination)
    }

    package init(label: String, format: Format, threshold: LogThreshold, clock: any Clock, destination: LogDestination) {
        self.label = label
        self.format = format
        self.threshold = threshold
        self.clock = clock
        self.destination = destination
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { _, new in new } }
        if let added = event.metadata { fields.merge(added) { _, new in new } }
        if let error = event.error { fields["error"] = .string("\(error)") }
        var flat: [(key: String, value: String)] = []
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) { Self.flatten(key, value, depth: 0, into: &flat) }
        destination.writeLine(line(level: event.level, message: event.message.description, fields: flat))
    }

    private func line(level: Logger.Level, message: String, fields: [(key: String, value: String)]) -> String {
        let time = clock.wallTime().text
        let message = LogText.truncated(message)
        switch format {
        case .text:
            let name = level.rawValue.uppercased()
            var line = "\(time) \(name)\(String(repeating: " ", count: 8 - name.count)) \(label) \(LogText.escaped(message))"
            for (key, value) in fields { line += " \(LogText.escaped(key))=\(Self.quoted(value))" }
            return line
        case .json:
            var line = "{\"time\":\"\(time)\",\"level\":\"\(level.rawValue)\",\"logger\":\(LogText.json(label))"
            line += ",\"message\":\(LogText.json(message))"
            if !fields.isEmpty {
                let pairs = fields.map { "\(LogText.json($0.key)):\(LogText.json($0.value))" }
                line += ",\"fields\":{\(pairs.joined(separator: ","))}"
            }
            return line + "}"
        }
    }

    /// Dictionaries become dotted keys, so that the list of secret keys sees every name.
    private static func flatten(
        _ key: String, _ value: Logger.Metadata.Value, depth: Int, into flat: inout [(key: String, value: String)]
    ) {
        let last = key.split(separator: ".").last.map { $0.lowercased() } ?? ""
        if secretKeys.contains(last) {
            flat.append((key, "<hidden>"))
            return
        }
        switch value {
        case .string(let text): flat.append((key, LogText.truncated(text)))
        case .stringConvertible(let convertible): flat.append((key, LogText.truncated(convertible.description)))
        case .dictionary(let dictionary):
            guard depth < depthMax else { return flat.append((key, "…")) }
            for (name, inner) in dictionary.sorted(by: { $0.key < $1.key }) {
                flatten("\(key).\(name)", inner, depth: depth + 1, into: &flat)
            }
        case .array(let values):
            guard depth < depthMax else { return flat.append((key, "…")) }
            for (index, inner) in values.enumerated() { flatten("\(key).\(index)", inner, depth: depth + 1, into: &flat) }
        @unknown default: flat.append((key, LogText.truncated("\(value)")))
        }
    }

    /// A value bare where that is clear, else in quotes.
    private static func quoted(_ value: String) -> String {
        let escaped = LogText.escaped(value)
        let isClear = !escaped.isEmpty && !escaped.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" }
        return isClear ? escaped : "\"\(escaped.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\""))\""
    }
}
