internal import ClusterModel
package import Base

/// Decodes types from YAML; what is wrong is named by file, line and path.
///
/// The type decides what a scalar is: `no` is a boolean where one is expected and a text where a text is. A key that the type never asked
/// for is an error.
package enum YAMLDecoder {
    package static func decode<Value: Decodable>(_ type: Value.Type, from document: YAMLDocument) throws(TeleportError) -> Value {
        let trace = Trace(file: document.file)
        do {
            let value = try Place(value: document.root, path: [], trace: trace).decode(type)
            try trace.refuseUnknown(in: document.root, path: [])
            return value
        } catch let error as YAMLError {
            throw TeleportError(error)
        } catch {
            throw .badParameter("\(document.file): \(error)", cause: error)
        }
    }
}

/// A decoded value and where it stood, for errors that are found only when the whole file is known.
struct Located<Value: Decodable>: Decodable {
    let value: Value
    private let place: Place?

    init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(Value.self)
        place = decoder as? Place
    }

    func error(_ message: String) -> TeleportError {
        place.map { TeleportError($0.error(message)) } ?? .badParameter(message)
    }
}

/// Which keys of which mappings were asked for.
private final class Trace {
    let file: String
    private var known: [Int: [String]] = [:]
    private var open: Set<Int> = []

    init(file: String) {
        self.file = file
    }

    func enter(_ mapping: YAMLValue) {
        known[mapping.id, default: []] += []
    }

    func ask(_ key: String, of mapping: YAMLValue) {
        guard known[mapping.id]?.contains(key) != true else { return }
        known[mapping.id, default: []].append(key)
    }

    /// The type looks at all the keys itself.
    func askAll(of mapping: YAMLValue) {
        open.insert(mapping.id)
    }

    func refuseUnknown(in value: YAMLValue, path: [any CodingKey]) throws(YAMLError) {
        switch value.content {
        case .scalar:
            return
        case .sequence(let values):
            for (index, value) in values.enumerated() { try refuseUnknown(in: value, path: path + [PathKey(intValue: index)]) }
        case .mapping(let pairs):
            guard let known = known[value.id] else { return }
            for pair in pairs {
                let path = path + [PathKey(stringValue: pair.key)]
                guard open.contains(value.id) || known.contains(pair.key) else {
                    let expected = known.isEmpty ? "none is known here" : "known here: " + known.joined(separator: ", ")
                    throw YAMLError(file: file, line: pair.line, path: text(path), message: "unknown key; \(expected)")
                }
                try refuseUnknown(in: pair.value, path: path)
            }
        }
    }

    func text(_ path: [any CodingKey]) -> String {
        path.reduce(into: "") { text, key in
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += (text.isEmpty ? "" : ".") + key.stringValue.prefix(64)
            }
        }
    }
}

private struct PathKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init(intValue: Int) {
        stringValue = "\(intValue)"
        self.intValue = intValue
    }
}

/// A value and how one came to it.
private struct Place: Decoder {
    let value: YAMLValue
    let path: [any CodingKey]
    let trace: Trace

    var codingPath: [any CodingKey] { path }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func error(_ message: String) -> YAMLError {
        YAMLError(file: trace.file, line: value.line, path: trace.text(path), message: message)
    }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        do {
            if let scalar = type as? any YAMLScalar.Type {
                guard case .scalar(let text, let isPlain) = value.content, !value.isNull,
                    let decoded = scalar.init(yaml: text, isPlain: isPlain) as? Value
                else {
                    throw error("\(scalar.expected) is expected, found \(value.shape)")
                }
                return decoded
            }
            return try Value(from: self)
        } catch let error as YAMLError {
            throw error
        } catch let error as TeleportError {
            throw self.error(error.message)
        } catch {
            throw self.error(reason(error, for: type))
        }
    }

    /// What the standard library complains of, in words without names of our types.
    private func reason(_ error: any Error, for type: Any.Type) -> String {
        switch error {
        case DecodingError.keyNotFound(let key, _): return "the key \(key.stringValue) is missing"
        case DecodingError.valueNotFound: return "a value is expected, found nothing"
        default:
            let choices = (type as? any CaseIterable.Type).map { names($0) } ?? []
            return choices.isEmpty
                ? "\(value.shape) is not accepted here" : "\(value.shape) is none of \(choices.joined(separator: ", "))"
        }
    }

    private func names<Choice: CaseIterable>(_ type: Choice.Type) -> [String] {
        type.allCases.compactMap { ($0 as? any RawRepresentable)?.rawValue as? String }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .mapping(let pairs) = value.content else { throw error("keys and values are expected, found \(value.shape)") }
        trace.enter(value)
        return KeyedDecodingContainer(MappingPlace<Key>(place: self, pairs: pairs))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .sequence(let values) = value.content else { throw error("a list is expected, found \(value.shape)") }
        return SequencePlace(place: self, values: values)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        ScalarPlace(place: self)
    }
}

private struct MappingPlace<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let place: Place
    let pairs: [YAMLPair]

    var codingPath: [any CodingKey] { place.path }

    var allKeys: [Key] {
        place.trace.askAll(of: place.value)
        return pairs.compactMap { Key(stringValue: $0.key) }
    }

    private func find(_ key: any CodingKey) -> Place? {
        place.trace.ask(key.stringValue, of: place.value)
        guard let pair = pairs.first(where: { $0.key == key.stringValue }) else { return nil }
        return Place(value: pair.value, path: place.path + [key], trace: place.trace)
    }

    private func get(_ key: any CodingKey) throws -> Place {
        guard let found = find(key) else { throw place.error("the key \(key.stringValue) is missing") }
        return found
    }

    func contains(_ key: Key) -> Bool { find(key) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try get(key).value.isNull }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try get(key).decode(type) }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
        try get(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try get(key).unkeyedContainer() }
    func superDecoder() throws -> any Decoder { try get(PathKey(stringValue: "super")) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try get(key) }
}

private struct SequencePlace: UnkeyedDecodingContainer {
    let place: Place
    let values: [YAMLValue]
    var currentIndex = 0

    var codingPath: [any CodingKey] { place.path }
    var count: Int? { values.count }
    var isAtEnd: Bool { currentIndex == values.count }

    private func peek() throws -> Place {
        guard !isAtEnd else { throw place.error("the list has only \(values.count) values") }
        return Place(value: values[currentIndex], path: place.path + [PathKey(intValue: currentIndex)], trace: place.trace)
    }

    private mutating func take() throws -> Place {
        defer { currentIndex += 1 }
        return try peek()
    }

    mutating func decodeNil() throws -> Bool {
        guard try peek().value.isNull else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try take().decode(type) }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
        try take().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try take().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try take() }
}

private struct ScalarPlace: SingleValueDecodingContainer {
    let place: Place

    var codingPath: [any CodingKey] { place.path }
    func decodeNil() -> Bool { place.value.isNull }
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try place.decode(type) }
}

/// What one scalar can be.
private protocol YAMLScalar {
    /// In words for an error.
    static var expected: String { get }
    init?(yaml text: String, isPlain: Bool)
}

extension String: YAMLScalar {
    fileprivate static var expected: String { "a text" }
    fileprivate init?(yaml text: String, isPlain: Bool) { self = text }
}

extension Bool: YAMLScalar {
    fileprivate static var expected: String { "yes or no" }
    fileprivate init?(yaml text: String, isPlain: Bool) {
        switch text.lowercased() {
        case "yes", "true", "on": self = true
        case "no", "false", "off": self = false
        default: return nil
        }
    }
}

extension Double: YAMLScalar {
    fileprivate static var expected: String { "a number" }
    fileprivate init?(yaml text: String, isPlain: Bool) {
        guard isPlain, let number = Double(text), number.isFinite else { return nil }
        self = number
    }
}

extension Float: YAMLScalar {
    fileprivate static var expected: String { "a number" }
    fileprivate init?(yaml text: String, isPlain: Bool) {
        guard isPlain, let number = Float(text), number.isFinite else { return nil }
        self = number
    }
}

extension YAMLScalar where Self: FixedWidthInteger {
    fileprivate static var expected: String { "a whole number from \(Self.min) to \(Self.max)" }
    fileprivate init?(yaml text: String, isPlain: Bool) {
        guard isPlain, let number = Self(text) else { return nil }
        self = number
    }
}

extension Int: YAMLScalar {}
extension Int8: YAMLScalar {}
extension Int16: YAMLScalar {}
extension Int32: YAMLScalar {}
extension Int64: YAMLScalar {}
extension UInt: YAMLScalar {}
extension UInt8: YAMLScalar {}
extension UInt16: YAMLScalar {}
extension UInt32: YAMLScalar {}
extension UInt64: YAMLScalar {}
