fn main() -> std::process::ExitCode {
    staleproof::main(staleproof::pattern::Registry::built_in())
}
