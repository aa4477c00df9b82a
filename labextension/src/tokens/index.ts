/** What parts of the extension, and other extensions, may use of each other: names, contracts, no code. */
export * from '../schema';
export * from './environments';
export * from './making';
export * from './names';
export * from './service';
export * from './settings';
