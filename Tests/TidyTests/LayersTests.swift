import FoundationEssentials
import Testing

@Suite("Layers")
struct LayersTests {
    @Test func `every file imports what its target's row allows`() throws {
        for file in SourceFile.all where file.isSource {
            let row = try #require(allowedImports[file.target], "\(file.target) has no row in Layers.swift")
            for (access, module) in file.imports {
                switch module {
                case "Glibc":
                    let isAllowed = systemImporters.contains(file.target) || systemImporterFiles.contains(file.pathInside)
                    #expect(isAllowed, "\(file.path) imports Glibc")
                case "FoundationEssentials":
                    #expect(essentialsImporters.contains(file.target), "\(file.path) imports FoundationEssentials")
                case "Synchronization":
                    #expect(atomicFiles.contains(file.pathInside), "\(file.path) imports Synchronization; use Lock")
                default:
                    #expect(row.contains(module), "\(file.path) imports \(module), which its row does not name")
                }
                if libraryImporters[module] != nil || module == "Glibc" {
                    #expect(access == "internal", "\(file.path): \(module) is imported as `internal import`, so that no C type leaves")
                }
                #expect(access != "public", "\(file.path): `package` is the widest access level")
            }
        }
    }

    @Test func `every C library has its one importer`() {
        for (target, modules) in allowedImports {
            for module in modules {
                if let importer = libraryImporters[module] { #expect(importer == target, "\(target) may not import \(module)") }
            }
        }
    }

    @Test func `arrows point down`() {
        var height: [String: Int] = [:]
        for (index, names) in layers.enumerated() {
            for name in names { height[name] = index }
        }
        #expect(Set(height.keys) == Set(allowedImports.keys))
        for (target, modules) in allowedImports {
            for module in modules {
                guard let below = height[module], let above = height[target] else { continue }
                #expect(below < above, "\(target) imports \(module), which is not below it")
            }
        }
    }

    @Test func `Package.swift says the same`() throws {
        let manifest = try String(contentsOfFile: SourceFile.root + "Package.swift", encoding: .utf8)
        var declared: [String: Set<String>] = [:]
        for match in manifest.matches(of: /(?:library|program)\(\s*"(\w+)"((?:,\s*(?:"\w+"|log|arguments))*)\)/) {
            var modules = Set(match.2.matches(of: /"(\w+)"/).map { String($0.1) })
            if match.2.contains(/\blog\b/) { modules.insert("Logging") }
            if match.2.contains(/\barguments\b/) { modules.insert("ArgumentParser") }
            declared[String(match.1)] = modules
        }
        #expect(declared.keys.sorted() == allowedImports.keys.sorted())
        for (target, modules) in declared {
            let row = allowedImports[target] ?? []
            #expect(modules == row, "\(target): differs in \(modules.symmetricDifference(row).sorted())")
        }
    }
}
