import Programs

Program.main(Load.self, globals: GlobalOptions(valued: [], flags: []))
