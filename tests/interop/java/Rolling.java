// Writes, reads in a group and commits with Kafka's Java client until standard input ends, then prints `errors N p99_ms M`.
// Started by rolling.sh; what it is for stands in tests/src/failover/rolling.rs.

import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.*;

public class Rolling {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final String TOPIC = System.getenv("TOPIC");
    static final AtomicBoolean stopping = new AtomicBoolean();
    static final Queue<String> errors = new ConcurrentLinkedQueue<>();
    static final Queue<Long> nanos = new ConcurrentLinkedQueue<>();

    public static void main(String[] args) throws Exception {
        Thread writer = new Thread(Rolling::write), reader = new Thread(Rolling::read);
        writer.start();
        reader.start();
        while (System.in.read() >= 0) {}
        stopping.set(true);
        writer.join();
        reader.join();
        errors.forEach(System.out::println);
        List<Long> all = new ArrayList<>(nanos);
        Collections.sort(all);
        long p99 = all.isEmpty() ? -1 : all.get((all.size() - 1) * 99 / 100) / 1_000_000;
        System.out.println("errors " + errors.size() + " p99_ms " + p99 + " writes " + all.size() + " java");
    }

    static void write() {
        Map<String, Object> config = Map.of("bootstrap.servers", BOOTSTRAP, "linger.ms", "0");
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            while (!stopping.get()) {
                long begun = System.nanoTime();
                producer.send(new ProducerRecord<>(TOPIC, new byte[100]), (done, error) -> {
                    if (error == null) nanos.add(System.nanoTime() - begun);
                    else errors.add("write: " + error);
                });
                Thread.sleep(10);
            }
        } catch (Exception error) {
            errors.add("writer: " + error);
        }
    }

    static void read() {
        Map<String, Object> config = Map.of("bootstrap.servers", BOOTSTRAP, "group.id", "rolling-java",
            "auto.offset.reset", "earliest", "enable.auto.commit", "false");
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(TOPIC));
            for (int polls = 1; !stopping.get(); polls++) {
                consumer.poll(Duration.ofMillis(100));
                if (polls % 10 == 0) {
                    try {
                        consumer.commitSync();
                    } catch (RebalanceInProgressException | CommitFailedException rebalance) {
                        // The group has new members or a new generation: the next poll joins it again.
                    }
                }
            }
        } catch (Exception error) {
            errors.add("reader: " + error);
        }
    }
}
