internal import CLibyaml
package import Base

/// Reads YAML through libyaml's events into a tree.
///
/// Refused, beside what libyaml refuses: the same key twice, keys that are no text, tags other than those of plain text, numbers, lists and
/// maps, and whatever is above the limits, which hold for aliases as if they were written out.
package struct YAMLDocument: Sendable {
    /// A resource with its CAs has some kilobytes; a file above this is none of ours.
    package static let bytesMax = 1 << 20
    package static let depthMax = 32
    /// Nodes of all documents of a file together.
    package static let nodesMax = 50_000

    package let root: YAMLValue
    /// What errors call the file.
    package let file: String

    /// The only document of a text; nil where the text has none, or only comments.
    ///
    /// - Parameter file: what errors call the text.
    package static func parse(_ text: [UInt8], file: String) throws(TeleportError) -> YAMLDocument? {
        let documents = try parseAll(text, file: file)
        if documents.count > 1 {
            throw TeleportError(
                YAMLError(file: file, line: documents[1].root.line, path: "", message: "a second document begins; one is expected"))
        }
        return documents.first
    }

    /// All documents of a text that are not empty.
    package static func parseAll(_ text: [UInt8], file: String) throws(TeleportError) -> [YAMLDocument] {
        do throws(YAMLError) {
            guard text.count <= bytesMax else {
                throw YAMLError(file: file, line: 1, path: "", message: "the file has \(text.count) bytes, at most \(bytesMax) are read")
            }
            var reader = YAMLEventReader(text, file: file)
            return try reader.documents().filter { !$0.isNull }.map { YAMLDocument(root: $0, file: file) }
        } catch {
            throw TeleportError(error)
        }
    }
}

extension TeleportError {
    init(_ error: YAMLError) {
        self.init(.badParameter, error.description, cause: error)
    }
}

/// Builds trees from the events of one parser.
@safe
private struct YAMLEventReader: ~Copyable {
    private struct Anchored {
        let value: YAMLValue
        let nodes: Int
    }

    private struct Event {
        enum Kind {
            case streamEnd, documentStart, documentEnd, sequenceStart, sequenceEnd, mappingStart, mappingEnd, other
            case alias(String)
            case scalar(String, isPlain: Bool)
        }
        let kind: Kind
        let anchor: String?
        let tag: String?
        let line: Int
    }

    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let text: UnsafeMutableBufferPointer<UInt8>
    private let file: String
    private var nodes = 0
    private var anchors: [String: Anchored] = [:]

    init(_ bytes: [UInt8], file: String) {
        let text = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = unsafe text.initialize(from: bytes)
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        unsafe parser.initialize(to: yaml_parser_t())
        // Of locals: where a half-made struct's field stands in `precondition`, Swift 6.3 releases one that is not there yet.
        precondition(unsafe yaml_parser_initialize(parser) == 1, "out of memory")
        unsafe yaml_parser_set_input_string(parser, text.baseAddress, text.count)
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe self.parser = parser
        unsafe self.text = text
        self.file = file
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
        unsafe text.deallocate()
    }

    mutating func documents() throws(YAMLError) -> [YAMLValue] {
        var documents: [YAMLValue] = []
        while true {
            let event = try next()
            switch event.kind {
            case .streamEnd: return documents
            case .documentStart:
                anchors = [:]
                documents.append(try value(try next(), depth: 0))
            default: continue
            }
        }
    }

    private mutating func value(_ event: Event, depth: Int) throws(YAMLError) -> YAMLValue {
        guard depth < YAMLDocument.depthMax else { throw error(event.line, "nested deeper than \(YAMLDocument.depthMax) levels") }
        let before = nodes
        try count(1, at: event.line)
        let id = nodes
        let value: YAMLValue
        switch event.kind {
        case .alias(let name):
            guard let anchored = anchors[name] else { throw error(event.line, "the alias *\(name) stands for nothing before it") }
            try count(anchored.nodes, at: event.line)
            return anchored.value
        case .scalar(let text, let isPlain):
            value = YAMLValue(.scalar(text, isPlain: try resolve(event.tag, isPlain: isPlain, line: event.line)), line: event.line, id: id)
        case .sequenceStart:
            guard [nil, "tag:yaml.org,2002:seq"].contains(event.tag) else { throw unknownTag(event) }
            value = YAMLValue(.sequence(try sequence(depth: depth)), line: event.line, id: id)
        case .mappingStart:
            guard [nil, "tag:yaml.org,2002:map"].contains(event.tag) else { throw unknownTag(event) }
            value = YAMLValue(.mapping(try mapping(depth: depth)), line: event.line, id: id)
        case .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd, .other:
            preconditionFailure("libyaml gives no such event here")
        }
        if let anchor = event.anchor { anchors[anchor] = Anchored(value: value, nodes: nodes - before) }
        return value
    }

    private mutating func sequence(depth: Int) throws(YAMLError) -> [YAMLValue] {
        var values: [YAMLValue] = []
        while true {
            let event = try next()
            if case .sequenceEnd = event.kind { return values }
            values.append(try value(event, depth: depth + 1))
        }
    }

    private mutating func mapping(depth: Int) throws(YAMLError) -> [YAMLPair] {
        var pairs: [YAMLPair] = []
        var lines: [String: Int] = [:]
        while true {
            let event = try next()
            if case .mappingEnd = event.kind { return pairs }
            guard case .scalar(let key, _) = event.kind else { throw error(event.line, "a key must be a text") }
            try count(1, at: event.line)
            if let first = lines.updateValue(event.line, forKey: key) {
                throw error(event.line, "the key \"\(key.prefix(64))\" is already on line \(first)")
            }
            pairs.append(YAMLPair(key: key, line: event.line, value: try value(try next(), depth: depth + 1)))
        }
    }

    private mutating func count(_ added: Int, at line: Int) throws(YAMLError) {
        nodes += added
        guard nodes <= YAMLDocument.nodesMax else { throw error(line, "more than \(YAMLDocument.nodesMax) values, aliases written out") }
    }

    private func resolve(_ tag: String?, isPlain: Bool, line: Int) throws(YAMLError) -> Bool {
        switch tag {
        case nil: return isPlain
        case "!", "tag:yaml.org,2002:str": return false
        case "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:null": return true
        case let tag?: throw error(line, "the tag \(tag.prefix(64)) is not known here")
        }
    }

    private func unknownTag(_ event: Event) -> YAMLError {
        error(event.line, "the tag \(event.tag?.prefix(64) ?? "") is not known here")
    }

    private func error(_ line: Int, _ message: String) -> YAMLError {
        YAMLError(file: file, line: line, path: "", message: message)
    }

    private mutating func next() throws(YAMLError) -> Event {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw parserError() }
        defer { unsafe yaml_event_delete(&event) }
        let line = unsafe Int(event.start_mark.line) + 1
        switch unsafe event.type {
        case YAML_STREAM_END_EVENT: return Event(kind: .streamEnd, anchor: nil, tag: nil, line: line)
        case YAML_DOCUMENT_START_EVENT: return Event(kind: .documentStart, anchor: nil, tag: nil, line: line)
        case YAML_DOCUMENT_END_EVENT: return Event(kind: .documentEnd, anchor: nil, tag: nil, line: line)
        case YAML_SEQUENCE_END_EVENT: return Event(kind: .sequenceEnd, anchor: nil, tag: nil, line: line)
        case YAML_MAPPING_END_EVENT: return Event(kind: .mappingEnd, anchor: nil, tag: nil, line: line)
        case YAML_ALIAS_EVENT:
            return Event(kind: .alias(unsafe string(event.data.alias.anchor) ?? ""), anchor: nil, tag: nil, line: line)
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.data.sequence_start
            return unsafe Event(kind: .sequenceStart, anchor: string(start.anchor), tag: string(start.tag), line: line)
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.data.mapping_start
            return unsafe Event(kind: .mappingStart, anchor: string(start.anchor), tag: string(start.tag), line: line)
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            let isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
            return unsafe Event(
                kind: .scalar(String(decoding: bytes, as: UTF8.self), isPlain: isPlain), anchor: string(scalar.anchor),
                tag: string(scalar.tag),
                line: line)
        default: return Event(kind: .other, anchor: nil, tag: nil, line: line)
        }
    }

    private func string(_ text: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        unsafe text.map { unsafe String(cString: $0) }
    }

    private func parserError() -> YAMLError {
        let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "not YAML"
        let context = unsafe parser.pointee.context.map { unsafe String(cString: $0) + ": " } ?? ""
        let isReader = unsafe parser.pointee.error == YAML_READER_ERROR
        // The reader knows an offset in bytes only.
        let line =
            isReader
            ? unsafe text.prefix(Int(clamping: parser.pointee.problem_offset)).count { $0 == UInt8(ascii: "\n") } + 1
            : unsafe Int(parser.pointee.problem_mark.line) + 1
        return error(line, "not YAML: \(context)\(problem)")
    }
}
