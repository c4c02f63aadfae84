"""The demonstration: `kintsugi demo`. Only here does Kintsugi know the embedded cluster, which comes with the extra `demo`."""
