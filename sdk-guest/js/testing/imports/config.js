import { host } from '../index.js';

export const get = (key) => host.config[key];
