//! Compiles the contract with protox, so that building it needs no `protoc`.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=tweendeck");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir("tweendeck/v1")?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();

    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    // The encoded set keeps custom options (method_class) that prost's own descriptor types drop.
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::write(out.join("tweendeck.binpb"), compiler.encode_file_descriptor_set())?;

    let descriptors = prost_types_set(&compiler.encode_file_descriptor_set())?;
    // Ordered maps: a message then has one encoding, which request digests rely on.
    tonic_prost_build::configure()
        .btree_map(".")
        // What few containers have takes no room in the others.
        .boxed(".tweendeck.v1.ContainerSpec.probes")
        .boxed(".tweendeck.v1.ContainerStatus.health")
        .boxed(".tweendeck.v1.ContainerStatus.limit_drift")
        .compile_fds(descriptors)?;
    Ok(())
}

fn prost_types_set(encoded: &[u8]) -> anyhow::Result<prost_types::FileDescriptorSet> {
    Ok(prost_types::FileDescriptorSet::decode(encoded)?)
}
