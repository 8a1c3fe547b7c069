// Empty: gives the precompiled header, which all test programs reuse, a source file to belong to.
